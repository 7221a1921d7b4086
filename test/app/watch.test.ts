import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { watchModules } from '../../src/app/watch.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/service.ts'

/** A watched directory; `told` gives how many changes were told. */
function watched(name = 'handlers') {
  const directory = join(temporaryDirectory(), name)
  let count = 0
  const faults: unknown[] = []
  const begin = (): void => {
    const onFault = (_directory: string, error: unknown): void => void faults.push(error)
    onTestFinished(watchModules({ directories: [directory], onChange: () => count++, onFault }))
  }
  const changes = {
    write: (file: string, text = '1') => writeFileSync(join(directory, file), text),
    /** Saves as most editors do. */
    replace: (file: string) => {
      writeFileSync(join(directory, `${file}.tmp`), '2')
      renameSync(join(directory, `${file}.tmp`), join(directory, file))
    },
    folder: (path: string) => mkdirSync(join(directory, path), { recursive: true }),
    remove: (path: string) => rmSync(join(directory, path), { recursive: true }),
  }
  /** Makes a change, and waits until it has been told. */
  const tells = async (change: () => void): Promise<void> => {
    const before = count
    change()
    await eventually(
      async () => count,
      (now) => now > before,
    )
    // A change that comes in pieces is told once more at most.
    await new Promise((resolve) => setTimeout(resolve, 120))
  }
  return { directory, begin, tells, told: () => count, faults, ...changes }
}

test('changes of module files are told: new, written, replaced by a rename more than once, and removed', async () => {
  const { folder, begin, tells, write, replace, remove, faults } = watched()
  folder('.')
  begin()
  await tells(() => write('a.ts'))
  await tells(() => write('a.ts', '2'))
  await tells(() => replace('a.ts'))
  await tells(() => replace('a.ts'))
  await tells(() => write('a.ts', '3'))
  await tells(() => remove('a.ts'))
  expect(faults).toEqual([])
})

test('changes in folders are told, also in folders that are made later', async () => {
  const { folder, begin, tells, write, replace, remove } = watched()
  folder('lib')
  begin()
  await tells(() => write('lib/_shared.ts'))
  await tells(() => {
    folder('new/deep')
    write('new/deep/b.ts')
  })
  await tells(() => write('new/deep/b.ts', '2'))
  await tells(() => replace('new/deep/b.ts'))
  await tells(() => remove('new'))
})

test('changes of files elsewhere are told if the modules import them, directly or through other files, by what the modules import now', async () => {
  const { folder, begin, tells, write, replace, told, faults } = watched('project/handlers')
  folder('.')
  folder('../lib/deep')
  write('../lib/db.ts', `import { one } from './deep/one.ts'`)
  write('../lib/deep/one.ts')
  write('../lib/unused.ts')
  write('a.ts', `import db from '../lib/db.ts'`)
  begin()
  await tells(() => replace('../lib/db.ts'))
  await tells(() => write('../lib/db.ts', `export * from "./deep/one.ts"`))
  await tells(() => write('../lib/deep/one.ts', '2'))
  await tells(() => write('b.ts', `await import('../lib/later.ts')`))
  await tells(() => write('../lib/later.ts'))
  const before = told()
  write('../lib/unused.ts', '2')
  await tells(() => write('a.ts', '1'))
  write('../lib/deep/one.ts', '3')
  await tells(() => write('b.ts', '1'))
  expect(told()).toBe(before + 2)
  expect(faults).toEqual([])
})

test('several changes at once are told once', async () => {
  const { folder, begin, tells, write, told } = watched()
  folder('.')
  begin()
  await tells(() => {
    for (let file = 0; file < 50; file++) write(`${file}.ts`)
  })
  expect(told()).toBe(1)
})

test('files that are no modules are not told: texts, tests, hidden files and installed packages', async () => {
  const { folder, begin, tells, write, told } = watched()
  folder('node_modules/pg')
  folder('.git')
  begin()
  for (const file of ['notes.md', 'a.test.ts', '.a.ts', 'node_modules/pg/index.js', '.git/x.js', 'a.ts~']) write(file)
  await tells(() => write('a.ts'))
  expect(told()).toBe(1)
})

test('a directory may be absent at first, and removed and made again, even at once', async () => {
  const { folder, begin, tells, write, remove, faults } = watched('project/handlers')
  begin()
  await tells(() => {
    folder('.')
    write('a.ts')
  })
  await tells(() => write('a.ts', '2'))
  await tells(() => remove('.'))
  await tells(() => folder('.'))
  await tells(() => write('a.ts', '3'))
  await tells(() => {
    remove('.')
    folder('.')
    write('a.ts', '4')
  })
  await tells(() => write('a.ts', '5'))
  await tells(() => remove('..'))
  await tells(() => {
    folder('.')
    write('a.ts', '6')
  })
  await tells(() => write('a.ts', '7'))
  expect(faults).toEqual([])
})
