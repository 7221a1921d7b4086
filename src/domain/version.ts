import { createRequire } from 'node:module'

const manifest = createRequire(import.meta.url)('../../package.json') as {
  readonly version: string
  readonly description: string
}

export const VERSION: string = manifest.version
export const DESCRIPTION: string = manifest.description
