import { readFile } from 'node:fs/promises'
import { messageOf } from '../domain/errors.ts'
import { type CliIo, CommandError, EXIT_USAGE } from './command.ts'

/** The JSON object in a file, or on the standard input where the name is `-`. Where there is none, the option makes no sense: exit 2. */
export async function readObject(file: string, io: CliIo): Promise<Record<string, unknown>> {
  const text = file === '-' ? await readAll(io.in) : await readFile(file, 'utf8').catch(unreadable)
  const name = file === '-' ? 'the standard input' : file
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new CommandError(`${name} is not JSON`, EXIT_USAGE)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new CommandError(`${name} holds no JSON object`, EXIT_USAGE)
}

function unreadable(error: unknown): never {
  throw new CommandError(messageOf(error), EXIT_USAGE)
}

async function readAll(stream: CliIo['in']): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}
