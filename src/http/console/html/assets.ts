import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { OpsApp } from '../../ops/ops-app.ts'

/** A file that pages need. Its URL has the hash of its content, so that a browser may keep it forever. */
interface Asset {
  readonly url: string
  readonly type: string
  readonly content: Buffer
}

const require = createRequire(import.meta.url)
const ours = (name: string): URL => new URL(`../assets/${name}`, import.meta.url)

const FILES = {
  'console.css': { from: [ours('console.css')], type: 'text/css; charset=utf-8' },
  'console.js': { from: [ours('console.js')], type: 'text/javascript; charset=utf-8' },
  'live.js': { from: [ours('live.js')], type: 'text/javascript; charset=utf-8' },
  'icon.svg': { from: [ours('icon.svg')], type: 'image/svg+xml' },
  // In one file: htmx begins as soon as it is there, and must know its extension by then.
  'htmx.js': {
    from: ['htmx.org/dist/htmx.min.js', 'htmx.org/dist/ext/hx-sse.min.js'].map((path) => require.resolve(path)),
    type: 'text/javascript; charset=utf-8',
  },
} as const
type AssetName = keyof typeof FILES

const assets = new Map<AssetName, Asset>()

/** Reads the file when it is first needed, so that commands that open no console do not. */
function assetOf(name: AssetName): Asset {
  const known = assets.get(name)
  if (known !== undefined) return known
  const { from, type } = FILES[name]
  const content = Buffer.concat(from.map((each) => readFileSync(each)))
  const url = `/console/assets/${hash('sha256', content, 'base64url').slice(0, 10)}/${name}`
  const asset = { url, type, content }
  assets.set(name, asset)
  return asset
}

export const assetUrl = (name: AssetName): string => assetOf(name).url

const ASSET_NAMES = Object.keys(FILES) as readonly AssetName[]

const YEAR_SECONDS = 31_536_000

/**
 * Serves them to everybody: they say nothing of this service. A page of another version may ask here while replicas are replaced: it
 * gets the file of this version, and does not keep it.
 */
export function registerAssets(app: OpsApp): void {
  for (const name of ASSET_NAMES) {
    const { url, type, content } = assetOf(name)
    app.route({
      method: ['GET', 'HEAD'],
      url: `/console/assets/:hash/${name}`,
      config: { open: true },
      schema: { hide: true },
      handler: (request, reply) => {
        if (request.url === url) reply.header('cache-control', `public, max-age=${YEAR_SECONDS}, immutable`)
        return reply.type(type).send(content)
      },
    })
  }
}
