import { expect, test } from 'vitest'
import { shareRooms } from '../../src/dispatch/rooms.ts'

const all = { ordinaryFree: 32, extraFree: 40, extra: 8 }
const limits = (rooms: Parameters<typeof shareRooms>[0], running: Record<string, number>) =>
  Object.fromEntries(shareRooms(rooms, new Map(Object.entries(running))))

test('a handler may have every ordinary room, alone or among others that run nothing', () => {
  expect(limits(all, { a: 0 })).toEqual({ a: 32 })
  expect(limits(all, { a: 0, b: 0 })).toEqual({ a: 32, b: 32 })
})

test('one that holds all ordinary rooms gets no extra ones, and every other is sure of its share of those', () => {
  const rooms = { ordinaryFree: 0, extraFree: 8, extra: 8 }
  expect(limits(rooms, { hog: 32, b: 0, c: 0 })).toEqual({ hog: 0, b: 4, c: 4 })
  expect(limits(rooms, { hog: 32, b: 3, c: 0 })).toEqual({ hog: 0, b: 1, c: 4 })
})

test('however many handlers there are, one that runs nothing gets a room while any is left', () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`h${at}`, 0]))
  expect(limits({ ordinaryFree: 0, extraFree: 2, extra: 8 }, { hog: 38, ...many })).toMatchObject({
    hog: 0,
    h0: 1,
    h49: 1,
  })
  expect(limits({ ordinaryFree: 0, extraFree: 0, extra: 8 }, { hog: 32, ...many })).toMatchObject({ h0: 0 })
})

test('a handler that is the only one never goes beyond what was configured', () => {
  expect(limits({ ordinaryFree: 0, extraFree: 8, extra: 8 }, { a: 32 })).toEqual({ a: 0 })
})
