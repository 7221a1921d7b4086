import type { Ajv, Format } from 'ajv'
import addFormats from 'ajv-formats'
import { charge } from './meter.ts'

type Test = (text: string) => boolean

/** Characters that a format looks at in one step. */
const CHARACTERS_PER_STEP = 4
/** `url` may look at each character once for each other. */
const URL_SQUARE_PER_STEP = 16
/** A longer text is no host name; the expression of `hostname` looks so far ahead before it begins. */
const MAX_HOSTNAME_LENGTH = 255

/**
 * Adds the formats of ajv-formats, each of which counts what it is about to do. Their expressions are anchored, and
 * linear in the text but for `url`.
 */
export function addCountedFormats(ajv: Ajv): void {
  addFormats.default(ajv)
  for (const [name, format] of Object.entries(ajv.formats)) {
    const test = format === undefined ? undefined : testOf(format)
    if (test === undefined) continue
    ajv.addFormat(name, {
      type: 'string',
      validate: (text: string) => {
        charge(1 + (name === 'url' ? text.length ** 2 / URL_SQUARE_PER_STEP : text.length / CHARACTERS_PER_STEP))
        return (name !== 'hostname' || text.length <= MAX_HOSTNAME_LENGTH) && test(text)
      },
    })
  }
}

/** Undefined: it is a format of numbers, or always holds. */
function testOf(format: Format): Test | undefined {
  if (format instanceof RegExp) return (text) => format.test(text)
  if (typeof format === 'function') return format as Test
  if (typeof format !== 'object' || format.type === 'number') return undefined
  return testOf(format.validate as Format)
}
