import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LINGER_BYTES, MAX_UNANSWERED_REQUESTS, PARSE_SLICE_BYTES } from '../../src/domain/limits.ts'
import { scheduleConnections } from '../../src/http/fair-scheduler.ts'

/** A server whose connections take turns, closed with the test. */
async function serve(listener: RequestListener, maxUnparsedBytes?: number) {
  const server = createServer(listener)
  Object.assign(server, { httpAllowHalfOpen: true })
  const connections = scheduleConnections(server, maxUnparsedBytes)
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, sockets, connections }
}

async function connected(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true }).setNoDelay()
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
/** So much of a piece's work that a slice of them is more than a turn. */
const PIECE_MS = 0.004
const busy = (ms: number): void => {
  const until = performance.now() + ms
  while (performance.now() < until);
}
const tiny = (pieces: number): string => '1\r\nx\r\n'.repeat(pieces)

/** All that comes until either side ends the connection. */
function textOf(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return new Promise((resolve) => socket.on('end', () => resolve(text)).on('close', () => resolve(text)))
}

describe('a connection with a body of very many tiny chunks', () => {
  const PIECES = 100_000
  const QUESTIONS = 10

  test.each(['127.0.0.1', '127.0.0.2'])(
    'leaves the thread to requests from %s long before it is done',
    async (local) => {
      let pieces = 0
      const begun = Promise.withResolvers<void>()
      const { port } = await serve((request, answer) => {
        if (request.method === 'GET') {
          answer.end()
          return
        }
        request.on('data', () => {
          pieces++
          busy(PIECE_MS)
          begun.resolve()
        })
      })
      const honest = await connected(port, local)
      const heavy = await connected(port)
      heavy.write(HEAD + tiny(PIECES))
      await begun.promise
      for (let question = 0; question < QUESTIONS; question++) {
        const answer = once(honest, 'data')
        honest.write(GET)
        await answer
      }
      // Node alone parses one read in one go, which is some 11,000 pieces, and up to 32 reads.
      expect(pieces).toBeLessThan(QUESTIONS * 4_000)
    },
  )

  test('has one turn in each turn of the event loop', async () => {
    const each = [0]
    let looks = setImmediate(() => {})
    const look = (): void => {
      each.push(0)
      looks = setImmediate(look)
    }
    const done = Promise.withResolvers<void>()
    const { port } = await serve((request, answer) => {
      look()
      request.on('data', () => {
        each[each.length - 1] = (each.at(-1) ?? 0) + 1
        busy(PIECE_MS)
      })
      request.on('end', () => done.resolve(void answer.end()))
    })
    ;(await connected(port)).write(`${HEAD}${tiny(10_000)}0\r\n\r\n`)
    await done.promise
    clearImmediate(looks)
    // One slice, more than a turn's work, as it is read, and one in turn; where they count for the same look, twice one in turn.
    expect(Math.max(...each)).toBeLessThanOrEqual((4 * PARSE_SLICE_BYTES) / tiny(1).length)
  })

  test('is read to its end, byte by byte as it was sent', async () => {
    let bytes = 0
    const { port } = await serve((request, answer) => {
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      request.on('end', () => answer.end())
    })
    const socket = await connected(port)
    socket.end(`${HEAD}${tiny(20_000)}0\r\n\r\n`)
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 200/)
    expect(bytes).toBe(20_000)
  })

  test('is read no faster than it is parsed', async () => {
    const { port, sockets } = await serve((request) => {
      request.on('data', () => {})
    })
    const socket = await connected(port)
    let aheadBytes = 0
    const seen = Promise.withResolvers<void>()
    socket.write(HEAD + tiny(PIECES))
    const [served] = sockets
    const look = setInterval(() => {
      aheadBytes = Math.max(aheadBytes, served?.readableLength ?? 0)
      if ((served?.bytesRead ?? 0) >= PIECES * 6) seen.resolve()
    }, 1)
    await seen.promise
    clearInterval(look)
    expect(aheadBytes).toBeLessThan(128 * 1024)
  })

  test('takes turns, unlike one with Content-Length, whose body is passed on as it was read', async () => {
    let reads = 0
    const { port } = await serve((request, answer) => {
      request.on('data', () => reads++)
      request.on('end', () => answer.end())
    })
    const socket = await connected(port)
    socket.end(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n${'x'.repeat(4_000_000)}`)
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 200/)
    expect(reads).toBeLessThan(1_000)
  })
})

describe('pipelined requests', () => {
  const COUNT = 100

  test('are taken a few at a time and all answered, even when the sender has closed its side', async () => {
    const open: (() => void)[] = []
    const full = Promise.withResolvers<void>()
    let most = 0
    const { port } = await serve((_request, answer) => {
      open.push(() => answer.end('ok'))
      most = Math.max(most, open.length)
      if (open.length === MAX_UNANSWERED_REQUESTS) full.resolve()
      if (isReleased) release()
    })
    let isReleased = false
    const release = (): void => {
      for (const end of open.splice(0)) setImmediate(end)
    }
    const socket = await connected(port)
    socket.end(GET.repeat(COUNT))
    const answers = textOf(socket)
    await full.promise
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    // And those that came in one slice with the last of them.
    expect(most).toBeLessThan(MAX_UNANSWERED_REQUESTS + PARSE_SLICE_BYTES / GET.length + 1)
    isReleased = true
    release()
    expect((await answers).match(/HTTP\/1\.1 200/g)).toHaveLength(COUNT)
  })
})

describe('the data that waits to be parsed', () => {
  test('is bounded over all connections: the peer with most of it loses a connection, and the others lose none', async () => {
    const waiting = GET.repeat(2_000)
    const { port, sockets } = await serve(() => {}, 2.5 * waiting.length)
    const closed: Promise<unknown>[] = []
    for (const local of ['127.0.0.2', '127.0.0.1', '127.0.0.1']) {
      const socket = await connected(port, local)
      closed.push(textOf(socket))
      socket.write(waiting)
    }
    await Promise.race(closed)
    expect(sockets[0]?.destroyed).toBe(false)
    expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(1)
  })
})

describe('a peer that has sent an authentic event', () => {
  /** Answers GET, refuses PUT before its body has come, leaves HEAD without an answer, and reads what is POSTed. */
  async function serveProven() {
    let pieces = 0
    let begun = (): void => {}
    const { port, sockets, connections } = await serve((request, answer) => {
      if (request.method === 'GET') answer.end()
      else if (request.method === 'PUT') answer.writeHead(413, { 'content-length': 0 }).end()
      else if (request.method === 'POST')
        request.on('data', () => {
          pieces++
          busy(PIECE_MS)
          begun()
        })
    })
    /** A connection that was answered once. */
    async function used(): Promise<Socket> {
      const socket = await connected(port)
      const answer = once(socket, 'data')
      socket.write(GET)
      await answer
      return socket
    }
    /** Whether the thread does all of one read of this connection before anything else. */
    async function isSpared(socket: Socket): Promise<boolean> {
      pieces = 0
      const first = new Promise<void>((resolve) => {
        begun = () => setImmediate(resolve)
      })
      socket.write(HEAD + tiny(10_000))
      await first
      return pieces > 2_000
    }
    await used()
    connections.trust(sockets[0] as Socket)
    return { used, isSpared, provenAgain: () => connections.trust(sockets[0] as Socket) }
  }

  test('does not take turns on the connections that it opens afterwards', async () => {
    const { used, isSpared } = await serveProven()
    expect(await isSpared(await used())).toBe(true)
  })

  const unanswered = 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(MAX_UNANSWERED_REQUESTS + 1)
  test.each([
    ['more requests than may wait for answers', unanswered + GET, undefined],
    ['a body without end that is refused', HEAD.replace('POST', 'PUT'), 'data'],
    ['a request before the earlier one was answered', GET + GET, 'data'],
  ])(
    'takes turns again on all its connections after one of them has sent %s, whatever it proves afterwards',
    async (_, text, told) => {
      const { used, isSpared, provenAgain } = await serveProven()
      const [heavy, other] = [await used(), await used()]
      const heard = told === undefined ? Promise.resolve() : once(other.resume(), told)
      other.write(text)
      await heard
      await used()
      expect(await isSpared(heavy)).toBe(false)
      provenAgain()
      expect(await isSpared(await used())).toBe(false)
    },
  )
})

describe('an answer before the end of the request body', () => {
  const SENT_BYTES = 32 * 1_048_576

  test.each([
    ['in chunks', `${HEAD}${SENT_BYTES.toString(16)}\r\n`],
    ['of declared length', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${SENT_BYTES}\r\n\r\n`],
  ])('reaches a sender that goes on with a body %s, of which the server reads only a little', async (_how, head) => {
    const { port, sockets } = await serve((_request, answer) =>
      answer.writeHead(413, { 'content-length': 2 }).end('no'),
    )
    const socket = await connected(port)
    const answer = textOf(socket)
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.write(head)
    socket.write(Buffer.alloc(SENT_BYTES, 'x'), () => {})
    expect(await answer).toMatch(/^HTTP\/1\.1 413 .*no$/s)
    await closed
    // A read is up to 64 KiB; some are under way before the answer.
    expect(sockets[0]?.bytesRead).toBeLessThan(LINGER_BYTES + 8 * 65_536)
  })

  test('keeps the connection open where the rest of the body is short and its end is known', async () => {
    const { port } = await serve((request: IncomingMessage, answer) => {
      answer.statusCode = request.method === 'GET' ? 200 : 413
      answer.end()
    })
    const socket = await connected(port)
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n')
    await once(socket, 'data')
    socket.end(`${'x'.repeat(1_000)}${GET}`)
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 200/)
  })
})
