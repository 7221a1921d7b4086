import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { PassThrough } from 'node:stream'
import { onTestFinished } from 'vitest'
import { readConfig } from '../../src/app/config.ts'
import { runCli } from '../../src/cli/cli.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'
import { eventually } from '../support/eventually.ts'

interface Got {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly url: string
}

/** A local server that keeps what it gets; closed with the test. */
export async function startTarget(status = 200, port = 0) {
  const got: Got[] = []
  const server: Server = createServer((request, response) => {
    void request.toArray().then((chunks) => {
      got.push({ headers: request.headers, body: Buffer.concat(chunks), url: request.url ?? '' })
      response.writeHead(status).end('thanks')
    })
  })
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  onTestFinished(close)
  const address = server.address() as { port: number }
  return { got, url: `http://127.0.0.1:${address.port}/hooks?from=holdfast`, port: address.port, close }
}

/** Runs `holdfast listen` until `end`, which gives its exit code; it is ended with the test. */
export function listenTo(to: string, environment: Record<string, string>, ...args: string[]) {
  const ending = new AbortController()
  const [out, err] = [new PassThrough(), new PassThrough()]
  const text = { out: '', err: '' }
  out.on('data', (chunk) => (text.out += String(chunk)))
  err.on('data', (chunk) => (text.err += String(chunk)))
  const running = runCli(['listen', '--to', to, ...args], {
    out,
    err,
    in: new PassThrough(),
    interactive: false,
    endSignal: () => ending.signal,
    read: () => readConfig(environment),
    move: () => Promise.reject(new Error('nothing is moved here')),
    backUp: (request) => backUp(request, { signal: new AbortController().signal, onLog: () => {} }),
  })
  const end = (): Promise<number> => {
    ending.abort()
    return running
  }
  onTestFinished(async () => void (await end()))
  const wrote = (part: string) =>
    eventually(
      async () => text.err + text.out,
      (all) => all.includes(part),
      20_000,
    )
  return { text, end, running, wrote, begun: () => wrote('forwarding the events') }
}
