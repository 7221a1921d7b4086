import { setTimeout as sleep } from 'node:timers/promises'
import { post, signedEvent } from '../../support/events.ts'
import type { Service } from '../../support/service.ts'

const TRICKLE_MS = 20
const PAGE_SIZE = 200
/** Connections of a burst. */
const AT_ONCE = 32

export interface Parcel {
  readonly type: string
  readonly data?: Record<string, unknown>
}

export interface Posted {
  readonly isPoison: boolean
  readonly uid: string
  /** 0: no answer. */
  readonly status: number
  readonly ms: number
  readonly ackedAtMs: number
}

export interface Delivery {
  readonly event_uid: string
  readonly state: string
  readonly attempts: number
  readonly due_at: string
  readonly last_error?: string
}

export async function postParcel(service: Service, parcel: Parcel, isPoison: boolean): Promise<Posted> {
  const startedAt = performance.now()
  const answer = await post(service.publicUrl, signedEvent(parcel.type, parcel.data)).catch(() => ({
    status: 0,
    uid: '',
    ms: performance.now() - startedAt,
  }))
  return { isPoison, uid: answer.uid, status: answer.status, ms: answer.ms, ackedAtMs: Date.now() }
}

/** One every so often, whether or not the one before was answered. */
export function startTrickle(service: Service, parcel: Parcel): () => Promise<Posted[]> {
  const posted: Promise<Posted>[] = []
  const timer = setInterval(() => void posted.push(postParcel(service, parcel, false)), TRICKLE_MS)
  return () => {
    clearInterval(timer)
    return Promise.all(posted)
  }
}

/** As fast as they are acknowledged, the poisons evenly among the innocents. */
export async function postBurst(
  service: Service,
  innocent: Parcel,
  innocents: number,
  poison: Parcel,
  poisons: number,
): Promise<Posted[]> {
  const every = Math.ceil((innocents + poisons) / poisons)
  let next = 0
  const posted: Posted[] = []
  const sender = async (): Promise<void> => {
    while (next < innocents + poisons) {
      const isPoison = next++ % every === 0
      posted.push(await postParcel(service, isPoison ? poison : innocent, isPoison))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sender))
  return posted
}

export async function deliveriesOf(service: Service, handler: string): Promise<Delivery[]> {
  const deliveries: Delivery[] = []
  for (let cursor = ''; ; ) {
    const page = await service.api(`/v1/deliveries?handler=${handler}&limit=${PAGE_SIZE}${cursor}`)
    deliveries.push(...page.items)
    if (!page.next_cursor) return deliveries
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`
  }
}

export const isOver = ({ state }: Pick<Delivery, 'state'>): boolean => state === 'succeeded' || state === 'dead'

export interface Outcome {
  readonly acked: number
  readonly succeeded: number
  /** From the acknowledgement's arrival to the handler's end, of the slowest. */
  readonly slowestMs: number
  readonly medianMs: number
  /** Attempts past the first that were counted, over all of them. */
  readonly chargedAttempts: number
}

/** What became of the innocents, once all have ended or the time for that is over. */
export async function outcomeOf(
  service: Service,
  handler: string,
  posted: readonly Posted[],
  withinMs: number,
): Promise<Outcome> {
  const acked = new Map(posted.filter(({ status }) => status === 200).map(({ uid, ackedAtMs }) => [uid, ackedAtMs]))
  const until = Date.now() + withinMs
  for (;;) {
    const own = (await deliveriesOf(service, handler)).filter(({ event_uid }) => acked.has(event_uid))
    if ((own.length < acked.size || !own.every(isOver)) && Date.now() < until) {
      await sleep(200)
      continue
    }
    const waits = own.map(({ event_uid, due_at, state }) =>
      isOver({ state }) ? Date.parse(due_at) - (acked.get(event_uid) ?? 0) : Number.POSITIVE_INFINITY,
    )
    const sorted = waits.toSorted((a, b) => a - b)
    return {
      acked: acked.size,
      succeeded: own.filter(({ state }) => state === 'succeeded').length,
      slowestMs: sorted.at(-1) ?? Number.NaN,
      medianMs: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
      chargedAttempts: own.reduce((sum, { attempts }) => sum + Math.max(0, attempts - 1), 0),
    }
  }
}
