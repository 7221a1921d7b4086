/** Each of these modules has one fault: file → text and the fault that names the place, for a folder `modules`. */
export const FAULTY: Readonly<Record<string, readonly [text: string, fault: string]>> = {
  'a-syntax.ts': [
    'interface Order { id: string }\n\nexport default () => {\n\tconst name: string = "漢字", id = = 3\n}\n',
    'a-syntax.ts:4:34: Expression expected',
  ],
  'b-enum.ts': [
    'const one: number = 1\n  enum Color { Red }\nexport default () => one\n',
    'b-enum.ts:2:3: TypeScript enum is not supported in strip-only mode',
  ],
  'c-javascript.js': [
    'import { sideEffect } from "./lib/effect.js"\nexport default () => {\n\tconst x = "é😀", y = = 2\n}\n',
    "c-javascript.js:3:23: Unexpected token '='",
  ],
  'd-twice.ts': [
    'export default () => {\n  let total: number = 1; let total = 2\n}\n',
    "d-twice.ts:2:30: Identifier 'total' has already been declared",
  ],
  'e-no-file.ts': [
    '// import { one } from "./lib/missing.ts"\nimport { two } from "./lib/two.ts"\nimport {\n  one,\n} from "./lib/missing.ts"\nexport default () => [one, two]\n',
    'e-no-file.ts:5:8: Cannot find module ',
  ],
  'f-no-package.ts': [
    'import nothing from "no-such-package/part"\nexport default nothing\n',
    "f-no-package.ts:1:21: Cannot find package 'no-such-package'",
  ],
  'g-no-export.ts': [
    'import { two, three } from "./lib/two.ts"\nexport default () => [two, three]\n',
    "g-no-export.ts:1:15: The requested module './lib/two.ts' does not provide an export named 'three'",
  ],
  'h-throws.ts': [
    'interface Settings { url: string }\nconst read = (): Settings => { throw new Error("no settings") }\nread()\nexport default () => {}\n',
    'h-throws.ts:2:38: no settings',
  ],
  'i-helper-import.ts': [
    'import { nothing } from "./lib/imports-nothing.ts"\nexport default nothing\n',
    "i-helper-import.ts: modules/lib/imports-nothing.ts:2:21: Cannot find package 'no-such-package'",
  ],
  'j-helper-syntax.ts': [
    'import { nothing } from "./lib/syntax.js"\nexport default nothing\n',
    "j-helper-syntax.ts: modules/lib/syntax.js:2:18: Unexpected token ')'",
  ],
  'k-helper-throws.ts': [
    'import { fail } from "./lib/fail.ts"\nfail()\nexport default () => {}\n',
    'k-helper-throws.ts: modules/lib/fail.ts:1:42: failed',
  ],
  'l-no-extension.ts': ['import "./lib/style.css"\n', 'l-no-extension.ts:1:8: Unknown file extension ".css"'],
  'm-text.ts': ['throw "no error object"\n', 'm-text.ts: no error object'],
  'n-package-throws.ts': [
    'import connect from "client"\nconst client = connect()\nexport default () => client\n',
    'n-package-throws.ts:2:16: cannot connect',
  ],
}

/** What these modules import. */
export const HELPERS: Readonly<Record<string, string>> = {
  'package.json': '{ "type": "module" }',
  'lib/effect.js':
    'import { writeFileSync } from "node:fs"\nwriteFileSync("effect", "")\nexport const sideEffect = 1\n',
  'lib/two.ts': 'export const two: number = 2\n',
  'lib/imports-nothing.ts': '// The second line.\nimport nothing from "no-such-package"\nexport { nothing }\n',
  'lib/syntax.js': 'import "./effect.js"\nexport const a = )\n',
  'lib/fail.ts': 'export const fail = (): never => { throw new Error("failed") }\n',
  'lib/style.css': '',
  'node_modules/client/package.json': '{ "type": "module", "exports": "./index.js" }',
  'node_modules/client/index.js': 'export default () => { throw new Error("cannot connect") }\n',
}

/** Text of each module of `FAULTY`. */
export const FAULTY_TEXTS = Object.fromEntries(Object.entries(FAULTY).map(([name, [text]]) => [name, text]))

/** The fault of one of them in this folder, after `<kind> module <folder>/`. */
export const faultIn = (folder: string, name: string): string =>
  (FAULTY[name]?.[1] ?? `no module ${name}`).replace('modules/', `${folder}/`)
