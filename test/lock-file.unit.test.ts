import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

interface Locked {
  readonly integrity?: string
  readonly link?: boolean
}

test('every package is locked to its content, including packages of other platforms', () => {
  const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
    packages: Record<string, Locked>
  }
  const installed = Object.entries(packages).filter(([path, { link }]) => path !== '' && link !== true)
  expect(installed.length).toBeGreaterThan(200)
  const unlocked = installed.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))
  expect(unlocked.map(([path]) => path)).toEqual([])
})
