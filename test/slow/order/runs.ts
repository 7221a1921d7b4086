import { readFileSync } from 'node:fs'

/** A type of event whose handler keeps an order, and writes each of its runs into a file. */
export const STEP = 'order.step'

/** Every so many events of a key: the handler throws at first, calls `fail`, or the body is long. */
const THROWS_EVERY = 9
const FAILS_EVERY = 25
const LONG_EVERY = 50
const LONG_BYTES = 70_000

/** The data of event `n` of a key. */
export const stepData = (key: string, n: number): Record<string, unknown> => ({
  object: { id: key },
  n,
  ...(n % LONG_EVERY === 20 && { padding: 'x'.repeat(LONG_BYTES) }),
})

export const isToDie = (n: number): boolean => n % FAILS_EVERY === 7

/** The handler. Each line is appended by one write, so that the file has the lines of all processes in the order of time. */
export const stepHandler = (file: string): string => `
  import { appendFileSync } from 'node:fs'
  let runs = 0
  export default (router) => {
    router.on('${STEP}', { name: 'step', orderBy: 'data.object.id' }, async (event, { attempt, fail }) => {
      const { object, n } = event.data
      const run = process.pid + '.' + ++runs
      const say = (word) => appendFileSync(${JSON.stringify(file)}, [object.id, n, run, word].join(' ') + '\\n')
      say('begins')
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 4))
      if (n % ${THROWS_EVERY} === 3 && attempt === 1) {
        say('throws')
        throw new Error('not at first')
      }
      say(n % ${FAILS_EVERY} === 7 ? 'fails' : 'succeeds')
      if (n % ${FAILS_EVERY} === 7) fail('never')
    })
  }
`

interface Run {
  readonly key: string
  readonly n: number
  /** Process and number: no two runs have the same. */
  readonly run: string
  readonly word: 'begins' | 'throws' | 'fails' | 'succeeds'
}

function readRuns(file: string): readonly Run[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => {
    const [key = '', n, run = '', word] = line.split(' ')
    return { key, n: Number(n), run, word: word as Run['word'] }
  })
}

/** Process ids of the runs that began last. */
export const latestPids = (file: string): readonly number[] =>
  readRuns(file)
    .slice(-100)
    .map(({ run }) => Number.parseInt(run, 10))

/**
 * Everything that breaks the order of a key: a run that begins before the event before has succeeded or failed for good, or out
 * of turn, and a run that goes on after the next one has begun. A run that was killed never goes on.
 */
export function disorderIn(file: string, eventsOfKey: number): readonly string[] {
  const found: string[] = []
  const lines = new Map<string, { n: number; run: string; isOver: boolean }>()
  for (const { key, n, run, word } of readRuns(file)) {
    const at = lines.get(key) ?? { n: -1, run: '', isOver: true }
    const about = `${key} ${n} ${run} ${word}, after ${at.n} ${at.run}${at.isOver ? ', which is over' : ''}`
    lines.set(key, at)
    if (word === 'begins') {
      const isAgain = n === at.n
      if (!isAgain && !(n === at.n + 1 && at.isOver)) found.push(about)
      Object.assign(at, { n, run, isOver: isAgain && at.isOver })
    } else {
      if (run !== at.run) found.push(about)
      if (word !== 'throws') at.isOver = true
    }
  }
  for (const [key, { n, isOver }] of lines)
    if (n !== eventsOfKey - 1 || !isOver) found.push(`${key} ended with ${n}${isOver ? '' : ', which is not over'}`)
  return found
}

export const runsIn = (file: string): number => readRuns(file).filter(({ word }) => word === 'begins').length
