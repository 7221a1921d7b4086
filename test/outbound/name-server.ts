import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import { onTestFinished } from 'vitest'

/** Addresses of a name; `silent`: it is not answered. */
export type Zone = (name: string) => readonly string[] | 'silent' | undefined

const TYPE_AAAA = 28
const NXDOMAIN = 3

/** A name server on loopback (RFC 1035 in small), gone with the test. Gives its address and what it was asked. */
export async function startNameServer(zone: Zone, ttlSeconds = 60) {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = questionOf(query)
    asked.push(name)
    const addresses = zone(name)
    if (addresses === 'silent') return
    const wanted = (addresses ?? []).filter((each) => isIPv4(each) === (type !== TYPE_AAAA))
    const head = Buffer.from(query.subarray(0, end))
    head.writeUInt16BE(0x8180 | (addresses === undefined ? NXDOMAIN : 0), 2)
    head.writeUInt16BE(wanted.length, 6)
    head.writeUInt32BE(0, 8)
    socket.send(Buffer.concat([head, ...wanted.map((each) => recordOf(each, type, ttlSeconds))]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  onTestFinished(() => void socket.close())
  return { server: `127.0.0.1:${socket.address().port}`, asked }
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function recordOf(address: string, type: number, ttlSeconds: number): Buffer {
  const data = isIPv4(address)
    ? Buffer.from(address.split('.').map(Number))
    : Buffer.concat([Buffer.alloc(15), Buffer.from([Number(address.split(':').at(-1))])])
  const record = Buffer.alloc(12)
  record.writeUInt16BE(0xc00c, 0)
  record.writeUInt16BE(type, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(ttlSeconds, 6)
  record.writeUInt16BE(data.length, 10)
  return Buffer.concat([record, data])
}
