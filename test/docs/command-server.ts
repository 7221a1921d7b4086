/**
 * Runs commands of `holdfast` for the shell that runs the documents' blocks, in one process: a process for each would cost a third
 * of a second. A connection brings, each ended by a zero byte: the path of two files for the output (`.out` and `.err`), how many
 * arguments there are, the arguments, the environment, and `END`. The answer is a line with the exit code. The first line of the
 * standard output is the port.
 */
import { createWriteStream } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { readConfig } from '../../src/app/config.ts'
import { runCli } from '../../src/cli/cli.ts'
import { backUp } from '../../src/storage/transfer/backup.ts'
import { moveStore } from '../../src/storage/transfer/move.ts'

const END = '\0END\0'

const server = createServer((socket) => {
  let received = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    received += text
    if (received.endsWith(END)) void answer(socket, received.slice(0, -END.length).split('\0'))
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))

async function answer(socket: Socket, [output, count, ...rest]: readonly string[]): Promise<void> {
  const args = rest.slice(0, Number(count))
  const environment = Object.fromEntries(
    rest.slice(Number(count)).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  const [out, err] = [createWriteStream(`${output}.out`), createWriteStream(`${output}.err`)]
  const code = await runCli(args, {
    out,
    err,
    in: Readable.from([]),
    interactive: false,
    endSignal: () => new AbortController().signal,
    read: () => readConfig(environment),
    backUp: (backup) => backUp(backup, { signal: new AbortController().signal, onLog: () => {} }),
    move: (move) => moveStore(move, { signal: new AbortController().signal, onLog: () => {}, clock: Date.now }),
  })
  await Promise.all([finished(out.end()), finished(err.end())])
  socket.end(`${code}\n`)
}
