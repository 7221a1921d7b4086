import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openStore } from '../../src/storage/open.ts'
import { describeStore } from '../contract/store-contract.ts'

const root = mkdtempSync(join(tmpdir(), 'holdfast-contract-'))
let opened = 0
afterAll(() => rmSync(root, { recursive: true }))

describeStore('the embedded store', (clock) =>
  openStore(`file:${join(root, String(++opened), 'holdfast.db')}`, { clock }),
)
