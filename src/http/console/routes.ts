import { timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { HoldfastError } from '../../domain/errors.ts'
import { VERSION } from '../../domain/version.ts'
import type { OpsApp } from '../ops/ops-app.ts'
import { noteProblem, PROBLEM_MEDIA_TYPE, type ProblemCode, sendProblem } from '../problems.ts'
import type { ProblemJson } from '../schemas/schema.ts'
import { preferencesOf, sessionCookieOf, setSession } from './cookies.ts'
import { fieldOf, fieldsOf, isForm, isFromOwnPage, registerForms } from './forms.ts'
import { isOfConsole, ROOT } from './headers.ts'
import { type Html, html, NOTHING } from './html/html.ts'
import { type Badges, type Frame, numbersAgain, type Page, page } from './html/layout.ts'
import { refusalPage, refusalPart, sameSitePage } from './pages/refusal.ts'
import { pathTo } from './pages/sign-in.ts'
import type { Sessions } from './session.ts'

const HTML = 'text/html; charset=utf-8'
/** Bytes of the form to sign in, which anybody may send. */
const OPEN_FORM_BYTES = 16_384
/** The stream that says that there is something new. */
export const LIVE = '/live'
const SIGN_IN = `${ROOT}/sign-in`

/** A request for a page, or for a part of one. */
export interface Visit {
  readonly request: FastifyRequest
  readonly frame: Frame
  readonly nowMs: number
  /** The parameters in the path. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Whether the person may change things; controls that they may not use are not in the page. */
  readonly mayChange: boolean
}

/** A form that was sent. */
export interface Sent extends Visit {
  readonly reply: FastifyReply
  readonly field: (name: string) => string | undefined
  /** All values of a field that may stand in the form more than once. */
  readonly fields: (name: string) => readonly string[]
}

/** A change that the service did not make. */
export interface Refused {
  readonly code: ProblemCode
  readonly page: Page
}

export interface Download {
  /** Letters, digits, dots and hyphens: it is what the person's file system gets. */
  readonly name: string
  readonly bytes: Uint8Array
}

export interface RouteOptions {
  readonly app: OpsApp
  readonly sessions: Sessions
  /** Undefined: they are not known now. */
  readonly badges: () => Promise<Badges | undefined>
  /** In words, such as `3 replicas`. */
  readonly about: () => Promise<string>
  /** Why events cannot be received now, in words; empty: they can. */
  readonly readiness: () => readonly string[]
  readonly clock: () => number
}

/** The routes of the console. Every one of them refuses who may not ask, and answers in HTML, also a fault. */
export class ConsoleRoutes {
  readonly #options: RouteOptions

  constructor(options: RouteOptions) {
    this.#options = options
    const { app } = options
    registerForms(app)
    app.addHook('onSend', async (request, reply, payload) =>
      isOfConsole(request) && reply.getHeader('content-type') === PROBLEM_MEDIA_TYPE
        ? this.#refusal(request, reply, payload as Buffer)
        : payload,
    )
  }

  /**
   * A page, complete without a script; `show` may resolve with the path to go on at instead. `isOpen`: it is shown also to those who
   * have not signed in.
   */
  page(path: string, show: (visit: Visit) => Promise<Page | string>, isOpen = false): void {
    this.#route('GET', path, { open: isOpen }, async (request, reply) => {
      const visit = await this.#visit(request)
      const shown = await show(visit)
      if (typeof shown === 'string') return reply.redirect(shown, 303)
      return reply
        .code(shown.status ?? 200)
        .type(HTML)
        .send(page(visit.frame, shown).toString())
    })
  }

  /** A page for which a provider is called, so that only those see it who may change things. */
  providerPage(path: string, show: (visit: Visit) => Promise<Page>): void {
    this.#route('GET', path, { callsOut: true }, async (request, reply) => {
      const visit = await this.#visit(request)
      reply.type(HTML).send(page(visit.frame, await show(visit)).toString())
    })
  }

  /** A part of a page, which the page fetches again, and with it the numbers beside the sections. */
  part(path: string, show: (visit: Visit) => Promise<Html>): void {
    const { badges } = this.#options
    this.suggestions(path, async (visit) => {
      const [shown, numbers] = await Promise.all([show(visit), badges().catch(() => undefined)])
      return html`${shown}${numbers === undefined ? NOTHING : numbersAgain(numbers)}`
    })
  }

  /** What a field offers as somebody writes in it. */
  suggestions(path: string, show: (visit: Visit) => Promise<Html>): void {
    this.#route('GET', `/part${path}`, {}, async (request, reply) => {
      reply.type(HTML).send((await show(await this.#visit(request))).toString())
    })
  }

  /** A stream of server-sent events, which `open` begins. Who may not read it is answered 401, and never led elsewhere. */
  stream(path: typeof LIVE, open: (request: FastifyRequest, reply: FastifyReply) => Promise<void>): void {
    this.#route('GET', path, {}, async (request, reply) => {
      if (request.method === 'HEAD') reply.type('text/event-stream').send()
      else await open(request, reply)
    })
  }

  /** Bytes of others, to be saved: no browser shows them or runs what is in them. */
  download(path: string, read: (visit: Visit) => Promise<Download>): void {
    this.#route('GET', path, {}, async (request, reply) => {
      const { name, bytes } = await read(await this.#visit(request))
      reply
        .type('application/octet-stream')
        .header('content-disposition', `attachment; filename="${name}"`)
        .header('content-security-policy', "sandbox; default-src 'none'; frame-ancestors 'none'")
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    })
  }

  /**
   * A form that changes something, under its action in the audit (false: it changes nothing that others see). `act` resolves with the
   * path to go on at, or with why it was refused and a page that says so.
   */
  form(path: string, audit: string | false, act: (sent: Sent) => Promise<string | Refused>): void {
    this.#route('POST', path, { audit }, async (request, reply) => {
      const visit = await this.#visit(request)
      if (!isSame(fieldOf(request.body, 'csrf'), visit.frame.csrf))
        throw new HoldfastError('conflict', 'the form is of another session: load the page again')
      const to = await act({ ...visit, reply, ...fieldsIn(request) })
      if (typeof to === 'string') return reply.redirect(to, 303)
      return reply.code(noteProblem(request, to.code)).type(HTML).send(page(visit.frame, to.page).toString())
    })
  }

  /** A form that may be sent without having signed in, and changes nothing but cookies. Resolves with the path to go on at, or a page. */
  openForm(
    path: string,
    act: (sent: Sent) => Promise<string | { readonly status: number; readonly page: Page }>,
  ): void {
    this.#route('POST', path, { audit: false, open: true }, async (request, reply) => {
      const visit = await this.#visit(request)
      const to = await act({ ...visit, reply, ...fieldsIn(request) })
      if (typeof to === 'string') return reply.redirect(to, 303)
      return reply.code(to.status).type(HTML).send(page(visit.frame, to.page).toString())
    })
  }

  /** Answers for every other path under the root of the console. To be called last. */
  others(): void {
    const refuse = async (_request: FastifyRequest, reply: FastifyReply) => sendProblem(reply, 'not_found')
    this.#route('GET', '/*', {}, refuse)
    this.#route('GET', '/part/*', {}, refuse)
    this.#route('GET', '/assets/*', { open: true }, refuse)
    this.#route('POST', '/*', { audit: false }, refuse)
  }

  #route(
    method: 'GET' | 'POST',
    path: string,
    config: { readonly audit?: string | false; readonly open?: boolean; readonly callsOut?: boolean },
    handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
  ): void {
    this.#options.app.route({
      method: method === 'GET' ? ['GET', 'HEAD'] : method,
      url: `${ROOT}${path}`,
      config: { console: true, ...config },
      schema: { hide: true },
      ...(config.open === true && { bodyLimit: OPEN_FORM_BYTES }),
      onRequest: (request, reply, done) => {
        if (method === 'POST' && !isFromOwnPage(request)) return void sendProblem(reply, 'foreign_origin')
        if (request.credential === null && config.open !== true) return this.#askToSignIn(request, reply)
        if (method === 'GET') this.#renew(request, reply)
        done()
      },
      handler: async (request, reply) => {
        if (method === 'POST' && !isForm(request.body)) sendProblem(reply, 'unsupported_media_type')
        else await handler(request, reply)
        return reply
      },
    })
  }

  #askToSignIn(request: FastifyRequest, reply: FastifyReply): void {
    const { method, url, headers } = request
    // Neither a form nor what a script asks for may be answered with a page: a stream, for one, would take it for its events.
    if (method === 'POST' || isPart(request)) sendProblem(reply, 'token_required')
    // A link from another site comes without the cookie, which is `SameSite=Strict`: the page asks again for itself.
    else if (headers['sec-fetch-site'] === 'cross-site') reply.type(HTML).send(sameSitePage(url).toString())
    else reply.redirect(`${SIGN_IN}?to=${encodeURIComponent(url)}`, 303)
  }

  /** A problem as a page, or as what a part shows in its place. */
  async #refusal(request: FastifyRequest, reply: FastifyReply, payload: Buffer): Promise<string> {
    const problem = JSON.parse(payload.toString()) as ProblemJson
    reply.type(HTML).removeHeader('content-length')
    if (isPart(request)) return refusalPart(problem).toString()
    return page(await this.#frame(request), refusalPage(problem, cameFrom(request))).toString()
  }

  async #visit(request: FastifyRequest): Promise<Visit> {
    const { url, params, credential } = request
    return {
      request,
      frame: await this.#frame(request),
      nowMs: this.#options.clock(),
      params: params as Record<string, string>,
      query: new URL(url, 'http://localhost').searchParams,
      mayChange: credential !== null && credential.actor !== 'OPS_READ_TOKEN',
    }
  }

  async #frame(request: FastifyRequest): Promise<Frame> {
    const { badges, about, readiness } = this.#options
    const { credential, method, url } = request
    const actor = credential?.actor
    const isAround = credential !== null && !isPart(request)
    // What cannot be told now is no reason to show nothing.
    const [numbers, processes] = isAround
      ? await Promise.all([badges().catch(() => undefined), about().catch(() => '')])
      : [{}, '']
    return {
      ...preferencesOf(request),
      badges: numbers ?? {},
      isOpen: credential !== null,
      faults: isAround ? readiness() : [],
      version: VERSION,
      about: processes,
      right: actor === 'loopback' ? undefined : actor,
      csrf: this.#csrfOf(request),
      path: method === 'POST' ? ROOT : url,
    }
  }

  /** A session goes on as long as there are requests. */
  #renew(request: FastifyRequest, reply: FastifyReply): void {
    const { sessions } = this.#options
    const session = sessions.read(sessionCookieOf(request))
    const cookie = session?.isStale === true ? sessions.renew(session) : undefined
    if (cookie !== undefined) setSession(request, reply, cookie)
  }

  #csrfOf(request: FastifyRequest): string {
    const { sessions } = this.#options
    const session = sessions.read(sessionCookieOf(request))
    if (session !== undefined) return session.csrf
    return (request.credential === null ? undefined : sessions.formKey(request.credential)) ?? ''
  }
}

/** The page whose form was sent; undefined: the request is for a page itself, or does not say. */
function cameFrom({ method, headers: { referer } }: FastifyRequest): string | undefined {
  if (method !== 'POST' || referer === undefined || !URL.canParse(referer)) return undefined
  const { pathname, search } = new URL(referer)
  return pathTo(`${pathname}${search}`)
}

const fieldsIn = ({ body }: FastifyRequest): Pick<Sent, 'field' | 'fields'> => ({
  field: (name) => fieldOf(body, name),
  fields: (name) => fieldsOf(body, name),
})

/** What a script asks for: parts of pages, and streams. */
const isPart = ({ routeOptions: { url } }: FastifyRequest): boolean =>
  url?.startsWith(`${ROOT}/part/`) === true || url === `${ROOT}${LIVE}`

function isSame(sent: string | undefined, expected: string): boolean {
  const [one, other] = [Buffer.from(sent ?? ''), Buffer.from(expected)]
  return expected !== '' && one.length === other.length && timingSafeEqual(one, other)
}
