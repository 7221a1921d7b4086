import { post, type SignedEvent, signedEvent } from './events.ts'

/** What a sender was told, or that it was told nothing. */
export interface Answer {
  /** 0: none. */
  readonly status: number
  readonly target: string
  /** As `performance.now()` tells it. */
  readonly sentAtMs: number
  readonly answeredAtMs: number
}

export interface Senders {
  /** What was acknowledged: event id → uid. */
  readonly ledger: ReadonlyMap<string, string>
  /** Events that were acknowledged under more than one uid. */
  readonly contradictions: readonly string[]
  readonly answers: readonly Answer[]
  /** Resolves once every sender has its last answer. Idempotent. */
  stop(): Promise<void>
}

export interface SendersOptions {
  readonly count: number
  /** One of these for each event, in turn. */
  readonly types: readonly string[]
  /** Between one event and the next; none unless given. */
  readonly pauseMs?: number
}

/** After an answer that is no acknowledgement. */
const RETRY_MS = 20
/** Of so many events that were not acknowledged, all but one are sent again, the way providers do. */
const GIVE_UP_EVERY = 5

/**
 * Sends without pause, each sender one event after the other, each to any of the targets there are. What one replica does
 * not acknowledge is sent to another.
 */
export function startSenders(targets: () => readonly string[], options: SendersOptions): Senders {
  const { count, types, pauseMs = 0 } = options
  const ledger = new Map<string, string>()
  const contradictions: string[] = []
  const answers: Answer[] = []
  let going = true
  let made = 0
  let failures = 0

  async function send(event: SignedEvent): Promise<boolean> {
    const all = targets()
    const target = all[Math.floor(Math.random() * all.length)]
    if (target === undefined) return false
    const sentAtMs = performance.now()
    const { status, uid } = await post(target, event).catch(() => ({ status: 0, uid: '' }))
    answers.push({ status, target, sentAtMs, answeredAtMs: performance.now() })
    if (status !== 200) return false
    const before = ledger.get(event.id)
    if (before !== undefined && before !== uid) contradictions.push(event.id)
    ledger.set(event.id, uid)
    return true
  }

  async function sender(): Promise<void> {
    while (going) {
      const event = signedEvent(types[made % types.length] ?? '', { n: made++ })
      while (!(await send(event)) && going) {
        await sleep(RETRY_MS)
        if (++failures % GIVE_UP_EVERY === 0) break
      }
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }

  const running = Promise.all(Array.from({ length: count }, sender))
  return {
    ledger,
    contradictions,
    answers,
    async stop() {
      going = false
      await running
    },
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
