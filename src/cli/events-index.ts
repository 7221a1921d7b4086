import type { PayloadIndexJson } from '../http/schemas/payload-index.ts'
import { command, EXIT_OK } from './command.ts'
import { withOps } from './ops-client.ts'
import { printable, shownFlags, write, writeJson } from './output.ts'

const PATH = '/v1/payload-index'
/** Time between two requests if the index waits for appends that began before it, or for replicas that do not have its paths yet. */
const WAIT_MS = 250

export const eventsIndex = command({
  name: 'events index',
  summary:
    'Takes the events that are stored already into the index of SOURCE_<NAME>_KEYS. It may be stopped, and goes on the next time.',
  operands: [],
  flags: { status: { help: 'only show how far the index has got' }, ...shownFlags },
  run: async ({ flags: { status, json } }, io) =>
    withOps(io, async (ops) => {
      let index = await ops.get<PayloadIndexJson>(PATH)
      let hasWaited = false
      while (!status && !index.complete) {
        const before = shares(index)
        index = await ops.post<PayloadIndexJson>(`${PATH}/continue`, {})
        if (shares(index) !== before) {
          if (!json) await write(io.err, `${shares(index)}\n`)
          continue
        }
        if (!json && !hasWaited)
          await write(
            io.err,
            'waiting for replicas that do not have these paths yet, or for what they have under way\n',
          )
        hasWaited = true
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS))
      }
      if (json) await writeJson(io.out, index)
      else
        await write(
          io.out,
          index.items.length === 0 ? 'no path is indexed: SOURCE_<NAME>_KEYS is not set\n' : `${shares(index)}\n`,
        )
      return EXIT_OK
    }),
})

const shares = ({ items }: PayloadIndexJson): string =>
  items.map(({ source, path, share }) => `${source} ${printable(path)}: ${Math.floor(share * 100)} %`).join(', ')
