import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv4, type Server } from 'node:net'
import { onTestFinished } from 'vitest'

/** An answer that is not plain; the addresses of both families are given unless it says otherwise. */
export interface OddAnswer {
  readonly rcode?: number
  readonly addresses?: readonly string[]
  readonly ttlSeconds?: number
  /** Over UDP it says that it is cut off, and holds nothing. */
  readonly isCutOff?: boolean
  /** The name is another name of this one, of which nothing is said. */
  readonly aliasOf?: string
  readonly isGarbage?: boolean
}

/** Addresses of a name; `silent`: it is not answered; undefined: there is no such name. */
export type Zone = (
  name: string,
  family: 4 | 6,
  over: 'udp' | 'tcp',
) => readonly string[] | 'silent' | OddAnswer | undefined

const TYPE_A = 1
const TYPE_CNAME = 5
const TYPE_AAAA = 28
const NXDOMAIN = 3
const CUT_OFF = 0x0200
/** Ports of UDP are not all free for TCP. */
const MAX_PORTS = 20

/** A name server on loopback (RFC 1035 in small), gone with the test. Gives its address and what it was asked. */
export async function startNameServer(zone: Zone, ttlSeconds = 60) {
  const asked: string[] = []
  const reply = (query: Buffer, over: 'udp' | 'tcp'): Buffer | undefined => {
    const { name, type } = questionOf(query)
    asked.push(name)
    const said = zone(name, type === TYPE_AAAA ? 6 : 4, over)
    if (said === 'silent') return undefined
    const plain = Array.isArray(said) ? { addresses: said as readonly string[] } : (said as OddAnswer | undefined)
    return messageOf(query, plain ?? { rcode: NXDOMAIN }, over, ttlSeconds)
  }
  const { udp, tcp } = await openPort()
  udp.on('message', (query, { port, address }) => {
    const message = reply(query, 'udp')
    if (message !== undefined) udp.send(message, port, address)
  })
  tcp.on('connection', (socket) => {
    socket.on('error', () => {})
    let came = Buffer.alloc(0)
    socket.on('data', (data: Buffer) => {
      came = Buffer.concat([came, data])
      while (came.length > 2 && came.length >= 2 + came.readUInt16BE(0)) {
        const end = 2 + came.readUInt16BE(0)
        const message = reply(came.subarray(2, end), 'tcp')
        came = came.subarray(end)
        if (message !== undefined) socket.write(Buffer.concat([uint16(message.length), message]))
      }
    })
  })
  onTestFinished(() => {
    udp.close()
    tcp.close()
  })
  return { server: `127.0.0.1:${udp.address().port}`, asked }
}

async function openPort(): Promise<{ readonly udp: Socket; readonly tcp: Server }> {
  for (let tries = 1; ; tries++) {
    const udp = createSocket('udp4').bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const tcp = createServer()
    try {
      await once(tcp.listen(udp.address().port, '127.0.0.1'), 'listening')
      return { udp, tcp }
    } catch (error) {
      udp.close()
      if (tries === MAX_PORTS) throw error
    }
  }
}

function messageOf(query: Buffer, answer: OddAnswer, over: 'udp' | 'tcp', defaultTtl: number): Buffer {
  const { addresses = [], aliasOf, rcode = 0, isCutOff = false, isGarbage, ttlSeconds = defaultTtl } = answer
  if (isGarbage === true) return Buffer.concat([query.subarray(0, 2), Buffer.from('this is no DNS, and long enough')])
  const { type, end } = questionOf(query)
  const isEmpty = isCutOff && over === 'udp'
  const wanted = isEmpty ? [] : addresses.filter((each) => isIPv4(each) === (type === TYPE_A))
  const records = wanted.map((each) => recordOf(type, ttlSeconds, dataOf(each)))
  if (aliasOf !== undefined) records.push(recordOf(TYPE_CNAME, ttlSeconds, nameOf(aliasOf)))
  const head = Buffer.from(query.subarray(0, end))
  head.writeUInt16BE(0x8180 | rcode | (isEmpty ? CUT_OFF : 0), 2)
  head.writeUInt16BE(records.length, 6)
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, ...records])
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

function recordOf(type: number, ttlSeconds: number, data: Buffer): Buffer {
  const record = Buffer.alloc(12)
  record.writeUInt16BE(0xc00c, 0)
  record.writeUInt16BE(type, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(ttlSeconds, 6)
  record.writeUInt16BE(data.length, 10)
  return Buffer.concat([record, data])
}

const dataOf = (address: string): Buffer =>
  isIPv4(address)
    ? Buffer.from(address.split('.').map(Number))
    : Buffer.concat([Buffer.alloc(15), Buffer.from([Number(address.split(':').at(-1))])])

const nameOf = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.alloc(1),
  ])

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
