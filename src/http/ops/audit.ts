import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import {
  AUDIT_ACTORS,
  type AuditEntry,
  type AuditStore,
  type AuditTrail,
  auditText,
  MAX_CLAIMED_NAME,
} from '../../domain/audit.ts'
import { HoldfastError } from '../../domain/errors.ts'
import { problemOf } from '../problems.ts'
import { AuditEntrySchema, auditEntryJson } from '../schemas/audit.ts'
import { PageOf, pageJson, Text, Time } from '../schemas/schema.ts'
import { clientOf, filterOf, type OpsApp, pageQuery, pageRequest } from './ops-app.ts'

/** What a route says about the change that it made. */
export interface AuditNote {
  readonly target?: string
  readonly count?: number
  /** Why the client asks for it. */
  readonly reason?: string
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The action under which each request is recorded: noun and verb, such as `task.cancel`. Every route whose method is not GET or
     * HEAD has one, and every GET route that changes something. False: the route changes nothing, whatever its method.
     */
    audit?: string | false
  }
  interface FastifyRequest {
    auditNote: readonly AuditNote[] | 'nothing changed' | null
  }
}

/** Says what the request changed. A later call adds to an earlier one. */
export function noteChange(request: FastifyRequest, note: AuditNote): void {
  const before = request.auditNote
  const [first = {}] = before === 'nothing changed' ? [] : (before ?? [])
  request.auditNote = [{ ...first, ...note }]
}

/** Says that the request makes several changes, each with an entry of its own; more may be added until it is answered. */
export function noteChanges(request: FastifyRequest, notes: readonly AuditNote[]): void {
  request.auditNote = notes
}

/** Fields whose values are contents of events, or may hold a secret: the audit names the fields alone. */
const UNTOLD: ReadonlySet<string> = new Set(['contains', 'match', 'url'])

/** A target in words: what a request named, field by field. */
export const inWords = (given: object): string =>
  Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([field, value]) => `${field}=${UNTOLD.has(field) ? '…' : String(value)}`)
    .join(' ')

/** The request was a dry run: it is not recorded, unless it fails. */
export function noteNoChange(request: FastifyRequest): void {
  request.auditNote = 'nothing changed'
}

/** The header in which a client names its user. */
const CLAIMED_NAME_HEADER = 'x-holdfast-user'

/** Who asks, in a word: the user whom the client names, or by which right it asks. The audit has more. */
export const askedBy = (request: FastifyRequest): string =>
  claimedNameOf(request) ?? request.credential?.actor ?? 'unknown'

const claimedNameOf = ({ headers }: FastifyRequest): string | undefined => {
  const sent = headers[CLAIMED_NAME_HEADER]?.toString()
  return auditText(sent === undefined ? undefined : textOf(sent), MAX_CLAIMED_NAME)
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true })

/** Node reads the bytes of a header as Latin-1; what clients send is UTF-8, or Latin-1 indeed. */
function textOf(header: string): string {
  try {
    return UTF_8.decode(Buffer.from(header, 'latin1'))
  } catch {
    return header
  }
}

const ACTION = /^[a-z]+(?:[._][a-z]+)+$/

/**
 * Records each valid request to a route with an `audit` action once its answer is known, and before it is sent. A request that the
 * guard refuses is only in the log (`access.ts`). Throws if a route that may change something has no action.
 */
export function recordChanges(app: FastifyInstance, trail: AuditTrail): void {
  app.decorateRequest('credential', null)
  app.decorateRequest('auditNote', null)
  app.addHook('onRoute', ({ method, url, config }) => {
    const audit = config?.audit
    if (audit === false) return
    const onlyReads = [method].flat().every((each) => each === 'GET' || each === 'HEAD')
    if (audit === undefined ? !onlyReads : !ACTION.test(audit))
      throw new Error(`${String(method)} ${url} changes something: it needs config: { audit: '<noun>.<verb>' }`)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    for (const entry of entriesOf(request, reply.statusCode)) await trail.record(entry)
    return payload
  })
}

function entriesOf(request: FastifyRequest, status: number): readonly AuditEntry[] {
  const { credential, auditNote, routeOptions } = request
  const { audit: action } = routeOptions.config
  if (typeof action !== 'string' || credential === null || NOT_UNDERSTOOD.has(status)) return []
  const isDone = status < 400
  if (isDone && auditNote === 'nothing changed') return []
  const notes = auditNote === null || auditNote === 'nothing changed' ? [{}] : auditNote
  // No change has no entry, unless the request failed.
  return (notes.length > 0 || isDone ? notes : [{}]).map((note) =>
    entryOf(request, { action, credential, status, note }),
  )
}

interface Audited {
  readonly action: string
  readonly credential: NonNullable<FastifyRequest['credential']>
  readonly status: number
  readonly note: AuditNote
}

function entryOf(request: FastifyRequest, { action, credential, status, note }: Audited): AuditEntry {
  const { params } = request
  const { target, count, reason } = note
  const isDone = status < 400
  const { peer, agent } = clientOf(request)
  const shown = {
    target: auditText(target ?? Object.values((params ?? {}) as Record<string, string>).join('/')),
    claimedName: claimedNameOf(request),
    agent: auditText(agent),
    reason: isDone ? auditText(reason) : problemOf(request),
  }
  return {
    action,
    outcome: isDone ? 'done' : 'failed',
    status,
    peer,
    ...credential,
    ...(count !== undefined && { count }),
    ...(Object.fromEntries(Object.entries(shown).filter(([, text]) => text !== undefined)) as Partial<AuditEntry>),
  }
}

/** Statuses of requests that were not valid, and therefore asked for nothing. */
const NOT_UNDERSTOOD = new Set([400, 408, 413, 415])

const AuditQuery = Type.Object(
  {
    actor: Type.Optional(Text(`${AUDIT_ACTORS.join(', ')}; or a name that clients gave themselves`)),
    action: Type.Optional(Text('Action, or a pattern with *')),
    since: Type.Optional(Time('At or after')),
    until: Type.Optional(Time('Before')),
    ...pageQuery,
  },
  { additionalProperties: false },
)

export function registerAudit(app: OpsApp, store: AuditStore): void {
  app.get(
    '/v1/audit',
    {
      schema: {
        summary: 'Changes that persons and programs made, newest first',
        tags: ['configuration'],
        querystring: AuditQuery,
        response: { 200: PageOf(AuditEntrySchema) },
      },
    },
    async ({ query }, reply) => {
      const { actor, action } = query
      if ([actor, action].some((text) => text?.includes('\0')))
        throw new HoldfastError('invalid_request', 'a filter must not hold a NUL')
      return reply.send(pageJson(await store.list(filterOf(query), pageRequest(query)), auditEntryJson))
    },
  )
}
