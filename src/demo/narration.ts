/** What the demonstration prints: numbered steps, and what happens in each. */

const MAX_SHOWN_LENGTH = 72

let steps = 0

const bold = (text: string): string => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[22m` : text)

export const say = (text: string): void => void process.stdout.write(`   ${text}\n`)
export const step = (title: string): void => void process.stdout.write(`\n${bold(`${++steps}. ${title}`)}\n`)
export const currentStep = (): number => steps

export const shortened = (text: string): string =>
  text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text

export const times = (count: number): string => (count === 1 ? 'once' : `${count} times`)

export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`expected ${what}`)
}
