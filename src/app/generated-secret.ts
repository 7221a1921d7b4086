import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Bytes of a generated key; Standard Webhooks asks for 24 to 64. */
const KEY_BYTES = 32

/**
 * Makes the secret of a service that starts with no configuration, in a file that only its owner may read. Throws if
 * the file is there already or cannot be written.
 */
export function generateSecret(file: string): string {
  const secret = `whsec_${randomBytes(KEY_BYTES).toString('base64')}`
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: 'wx' })
  return secret
}
