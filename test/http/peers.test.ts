import { expect, test } from 'vitest'
import {
  MAX_TRUSTED_PEERS,
  ORDINARY_BODY_CHUNKS,
  ORDINARY_BYTES_PER_CHUNK,
  SUSPICION_MS,
} from '../../src/domain/limits.ts'
import { peerOf, TrustedPeers } from '../../src/http/peers.ts'
import { exchangeOne, requestText } from './exchange.ts'
import { startPublic, UID } from './public-service.ts'

/** Peers at a time that the test sets, and a connection that notes that it was guarded. */
function peersAt() {
  const time = { nowMs: 0 }
  return { time, peers: new TrustedPeers(() => time.nowMs) }
}
function connection() {
  const guarded = { times: 0, guard: () => void guarded.times++ }
  return guarded
}

test('a peer that has sent no authentic event is not trusted', () => {
  const { peers } = peersAt()
  expect(peers.opened('a', connection())).toBe(false)
  peers.trust('b')
  expect(peers.opened('a', connection())).toBe(false)
})

test('a peer that becomes suspected has its own open connections guarded, and no other connection is guarded', () => {
  const { peers } = peersAt()
  const [open, closed, others] = [connection(), connection(), connection()]
  for (const peer of ['a', 'b']) peers.trust(peer)
  expect(peers.opened('a', open)).toBe(true)
  peers.opened('a', closed)
  peers.opened('b', others)
  peers.closed('a', closed)
  peers.suspect('a')
  expect([open.times, closed.times, others.times]).toEqual([1, 0, 0])
  expect(peers.opened('a', connection())).toBe(false)
})

test('a suspected peer cannot become trusted for a while, counted from its last violation', () => {
  const { time, peers } = peersAt()
  peers.suspect('a')
  time.nowMs = SUSPICION_MS - 1
  peers.suspect('a')
  time.nowMs = 2 * SUSPICION_MS - 2
  peers.trust('a')
  expect(peers.opened('a', connection())).toBe(false)
  time.nowMs++
  peers.trust('a')
  expect(peers.opened('a', connection())).toBe(true)
})

test('the oldest of very many trusted peers are forgotten, and their connections are guarded', () => {
  const { peers } = peersAt()
  const oldest = connection()
  peers.trust('first')
  peers.opened('first', oldest)
  for (let n = 0; n < MAX_TRUSTED_PEERS; n++) peers.trust(`peer ${n}`)
  expect(oldest.times).toBe(1)
  expect(peers.opened('first', connection())).toBe(false)
  expect(peers.opened('peer 0', connection())).toBe(true)
})

/** A listener, and whether it has a request of this peer take turns; it takes every event for proven if `isProven`. */
async function startGuarding() {
  const proven = { isProven: true }
  const service = await startPublic({
    receive: async () => (proven.isProven ? { outcome: 'accepted', uid: UID } : { outcome: 'signature_mismatch' }),
    bodyLimitBytes: 100_000,
  })
  let guardedReads = 0
  service.server.on('connection', (socket) => {
    const push = socket.push.bind(socket)
    socket.push = (chunk) => {
      if (chunk !== null) guardedReads++
      return push(chunk)
    }
  })
  const isGuarded = async (request = requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2'], '{}')) => {
    guardedReads = 0
    await exchangeOne(service.port, request)
    return guardedReads > 0
  }
  return { proven, isGuarded }
}

test('the public listener spares a peer after an authentic event, until the peer sends what is not HTTP', async () => {
  const { proven, isGuarded } = await startGuarding()
  proven.isProven = false
  expect(await isGuarded()).toBe(true)
  proven.isProven = true
  expect(await isGuarded()).toBe(true)
  expect(await isGuarded()).toBe(false)
  expect(await isGuarded('no HTTP\r\n\r\n')).toBe(false)
  expect(await isGuarded()).toBe(true)
})

test('the public listener no longer spares a peer that sends a body in many more chunks than senders make', async () => {
  const { isGuarded } = await startGuarding()
  const inChunks = (count: number, text: string) =>
    requestText(
      'POST',
      '/v1/webhooks/ai',
      ['Transfer-Encoding: chunked'],
      `${`${text.length.toString(16)}\r\n${text}\r\n`.repeat(count)}0\r\n\r\n`,
    )
  await isGuarded()
  await isGuarded(inChunks(ORDINARY_BODY_CHUNKS, 'x'))
  await isGuarded(inChunks(2 * ORDINARY_BODY_CHUNKS, 'x'.repeat(ORDINARY_BYTES_PER_CHUNK)))
  expect(await isGuarded()).toBe(false)
  await isGuarded(inChunks(ORDINARY_BODY_CHUNKS + 2, 'x'))
  expect(await isGuarded()).toBe(true)
})

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:192.0.2.7', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['nobody', 'unknown'],
  ['', 'unknown'],
  [undefined, 'unknown'],
])('the address %s belongs to the peer %s', (address, peer) => {
  expect(peerOf(address)).toBe(peer)
})
