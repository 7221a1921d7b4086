import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { type LocalOptions, startLocal } from '../support/local-service.ts'
import { handlersIn } from '../support/service.ts'

/** A service in this directory with one handler module, whose handlers write lines into a file and wait for files. */
export async function startProject(
  directory: string,
  module: string,
  environment: Record<string, string> = {},
  options: Pick<LocalOptions, 'onEnd'> = {},
) {
  const file = join(directory, 'lines')
  const edit = (text: string): string => handlersIn(directory, { 'it.js': `${prelude(directory)}\n${text}` })
  const service = await startLocal({ HANDLERS_DIR: edit(module), ...environment }, options)
  /** All lines, or those that begin with a word. */
  const lines = async (first = ''): Promise<readonly string[]> =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .trimEnd()
          .split('\n')
          .filter((line) => first === '' || line === first || line.startsWith(`${first} `))
      : []
  return {
    ...service,
    edit,
    lines,
    /** Resolves with the lines once there are so many. */
    written: (count: number, first?: string) =>
      eventually(
        () => lines(first),
        ({ length }) => length >= count,
      ),
    /** Lets the handlers that wait for this name go on. */
    allow: (name: string) => writeFileSync(join(directory, name), ''),
    send: (data: Record<string, unknown> = {}, type = 'acme.thing') => post(service.publicUrl, signedEvent(type, data)),
    handlers: async () =>
      (await service.api('/v1/handlers')).items.map(({ name }: { name: string }) => name).toSorted(),
  }
}

const prelude = (directory: string) => `
  import { appendFileSync, existsSync } from 'node:fs'
  const write = (line) => appendFileSync(${JSON.stringify(join(directory, 'lines'))}, line + '\\n')
  const until = async (name) => {
    while (!existsSync(${JSON.stringify(directory)} + '/' + name)) await new Promise((r) => setTimeout(r, 5))
  }`

export const writes = (line: string, name = 'it') =>
  `export default (r) => r.on('acme.thing', { name: '${name}' }, () => write('${line}'))`
