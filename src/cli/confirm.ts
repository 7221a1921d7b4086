import { type CliIo, write } from './command.ts'

/** Asks the operator at the terminal. Anything but yes is no, and so is the end of the input. */
export async function confirm({ in: input, err }: CliIo, question: string): Promise<boolean> {
  await write(err, `${question} [y/N] `)
  return /^\s*y(?:es)?\s*$/i.test(await firstLine(input))
}

async function firstLine(input: CliIo['in']): Promise<string> {
  let text = ''
  for await (const chunk of input) {
    text += chunk.toString()
    if (text.includes('\n')) break
  }
  return text.split('\n')[0] ?? ''
}
