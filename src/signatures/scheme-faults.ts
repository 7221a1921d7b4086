import { messageOf } from '../domain/errors.ts'
import type { HmacScheme, Scheme } from '../domain/provider.ts'
import { compileTemplate } from './template.ts'

/** What keeps a scheme of the right shape from ever verifying, or from proving what it should; one sentence each. */
export const schemeFaults = (scheme: Scheme): readonly string[] => (scheme.scheme === 'hmac' ? hmacFaults(scheme) : [])

function hmacFaults({ signed, id, signature, timestamp }: HmacScheme): readonly string[] {
  const faults: string[] = []
  try {
    compileTemplate(signed)
  } catch (error) {
    faults.push(messageOf(error))
  }
  const signs = (name: string): boolean => signed.includes(`{${name}}`)
  if (!signs('body')) faults.push('the template signs no {body}')
  if (signs('id') !== (id !== undefined)) faults.push('{id} and the header it comes from go together')
  const isApart = timestamp !== undefined && !('body' in timestamp.from)
  if (signs('timestamp') !== isApart) faults.push('{timestamp} and where it comes from go together')
  const { separator, labelSeparator, labels = [] } = signature
  if (labels.length > 0 !== (labelSeparator !== undefined)) faults.push('labels and their labelSeparator go together')
  if (timestamp !== undefined && 'label' in timestamp.from) {
    if (separator === undefined || labelSeparator === undefined)
      faults.push('a timestamp among the signatures needs their separator and labelSeparator')
    if (labels.includes(timestamp.from.label)) faults.push('the label of the timestamp is that of a signature too')
  }
  return faults
}
