import { duration, whole } from '../html/words.ts'

const HOUR_MS = 3_600_000
/** Hours that are compared with as many before them. */
const COMPARED = 3

/** How deaths by the hour develop, in words: the last hour stands last. */
export function trend(hourly: readonly number[], lastAtMs: number, nowMs: number): string {
  const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0)
  const all = sum(hourly)
  const quietMs = nowMs - lastAtMs
  if (all === 0) return `not seen for ${duration(quietMs)}`
  const day = `${whole(all)} in ${hourly.length} hours`
  if (quietMs > HOUR_MS) return `${day}, not seen for ${duration(quietMs)}`
  const [recent, before] = [sum(hourly.slice(-COMPARED)), sum(hourly.slice(-2 * COMPARED, -COMPARED))]
  if (recent === all && before === 0) return `${day}, all in the last ${COMPARED} hours`
  if (recent > 1.5 * before) return `${day}, rising`
  return `${day}, ${recent < before / 1.5 ? 'falling' : 'steady'}`
}
