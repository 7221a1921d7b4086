import { execFileSync } from 'node:child_process'
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Compiles `src` into `dist`, as the npm package and the image have it. A clone needs no build: it runs the TypeScript itself.
 */

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')

/** The files that users import. */
const { files: entries } = JSON.parse(readFileSync(join(import.meta.dirname, 'types.tsconfig.json'), 'utf8')) as {
  readonly files: readonly string[]
}

/** The path of a file of our own in a string, such as that of the script of a thread. */
const OWN_FILE = /(?<=(['"`])\.{1,2}\/[^'"`\n]*)\.ts(?=\1)/g
const ANY_FILE = /(['"])[^'"`\n]*\.ts\1/

rmSync(dist, { recursive: true, force: true })
for (const project of ['code', 'types'])
  execFileSync('tsc', ['--project', `scripts/${project}.tsconfig.json`], { cwd: root, stdio: 'inherit' })
for (const file of globSync(['**/*.sql', 'http/console/assets/*'], { cwd: join(root, 'src') }))
  cpSync(join(root, 'src', file), join(dist, file))

for (const file of globSync('**/*.{js,d.ts}', { cwd: dist })) {
  const path = join(dist, file)
  const text = readFileSync(path, 'utf8').replace(OWN_FILE, '.js')
  const line = text.split('\n').findIndex((each) => ANY_FILE.test(each))
  if (line >= 0) throw new Error(`${path}:${line + 1} names a TypeScript file, which is not there once it is compiled`)
  writeFileSync(path, text)
}

/** Of the declarations only those stay that users' imports lead to. */
const used = new Set<string>()
const use = (path: string): void => {
  if (used.has(path)) return
  used.add(path)
  for (const [, from = ''] of readFileSync(path, 'utf8').matchAll(/['"](\.[^'"]+)\.js['"]/g))
    use(join(dirname(path), `${from}.d.ts`))
}
for (const file of entries) use(join(dist, file.replace(/^.*src\//, '').replace(/\.ts$/, '.d.ts')))
for (const file of globSync('**/*.d.ts', { cwd: dist })) if (!used.has(join(dist, file))) rmSync(join(dist, file))
