import { connect } from 'node:net'

export interface RawAnswer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Sends bytes as they are over one connection and gives every answer that came before the other side ended it. What is
 * sent must make the other side do so: `Connection: close`, junk, or silence.
 */
export function exchange(port: number, ...parts: readonly (string | Buffer)[]): Promise<readonly RawAnswer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => {
      socket.end()
      resolve(parseAnswers(Buffer.concat(chunks).toString('latin1')))
    })
    socket.on('error', reject)
    for (const part of parts) socket.write(part)
  })
}

export async function exchangeOne(port: number, ...parts: readonly (string | Buffer)[]): Promise<RawAnswer> {
  const answers = await exchange(port, ...parts)
  const [answer] = answers
  if (answer === undefined || answers.length > 1) throw new Error(`${answers.length} answers, not one`)
  return answer
}

function parseAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = []
  let rest = text
  while (rest.startsWith('HTTP/1.1 ')) {
    const end = rest.indexOf('\r\n\r\n')
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n')
    const headers: Record<string, string> = {}
    for (const line of lines) {
      const at = line.indexOf(':')
      headers[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim()
    }
    const length = Number(headers['content-length'] ?? 0)
    const from = end + 4
    const status = Number(statusLine.split(' ')[1])
    answers.push({ status, headers, body: rest.slice(from, from + length) })
    rest = status === 100 ? rest.slice(from) : rest.slice(from + length)
  }
  return answers
}

/** A request as text; headers given replace nothing, they are added. */
export const requestText = (method: string, target: string, headers: readonly string[], body = ''): string =>
  [`${method} ${target} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers, '', body].join('\r\n')
