import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { HoldfastError } from '../../domain/errors.ts'
import { VERSION } from '../../domain/version.ts'
import type { OpsApp } from '../ops/ops-app.ts'
import { faultOf, type ProblemCode, problemAs } from '../problems.ts'
import { preferencesOf, sessionCookieOf, setSession } from './cookies.ts'
import { fieldOf, registerForms } from './forms.ts'
import type { Html } from './html/html.ts'
import { type Badges, type Frame, type Page, page } from './html/layout.ts'
import { refusalPage, refusalPart, sameSitePage } from './pages/refusal.ts'
import { IDLE_MS, type Sessions } from './session.ts'

/**
 * Nothing but our own files, forms and requests; no script in a page, no style in an attribute. `Referrer-Policy` is not `no-referrer`:
 * with that, browsers send `Origin: null` with the console's own forms.
 */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
}
const HTML = 'text/html; charset=utf-8'
const ROOT = '/console'
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
}

export interface RouteOptions {
  readonly app: OpsApp
  readonly sessions: Sessions
  readonly badges: () => Promise<Badges>
  /** In words, such as `3 replicas`. */
  readonly about: () => Promise<string>
  readonly clock: () => number
  readonly log: Logger
}

/** The routes of the console. Every one of them refuses who may not ask, and answers in HTML, also a fault. */
export class ConsoleRoutes {
  readonly #options: RouteOptions

  constructor(options: RouteOptions) {
    this.#options = options
    registerForms(options.app)
  }

  /** A page, complete without a script. `isOpen`: it is shown also to those who have not signed in. */
  page(path: string, show: (visit: Visit) => Promise<Page>, isOpen = false): void {
    this.#route('GET', path, { open: isOpen }, 'page', async (request, reply) => {
      const visit = await this.#visit(request)
      reply.type(HTML).send(page(visit.frame, await show(visit)).toString())
    })
  }

  /** A part of a page, which the page fetches again. */
  part(path: string, show: (visit: Visit) => Promise<Html>): void {
    this.#route('GET', `/part${path}`, {}, 'part', async (request, reply) => {
      reply.type(HTML).send((await show(await this.#visit(request))).toString())
    })
  }

  /**
   * A form that changes something, under its action in the audit (false: it changes nothing that others see). `act` resolves with the
   * path to go on at.
   */
  form(path: string, audit: string | false, act: (sent: Sent) => Promise<string>): void {
    this.#route('POST', path, { audit }, 'page', async (request, reply) => {
      const visit = await this.#visit(request)
      if (fieldOf(request.body, 'csrf') !== visit.frame.csrf)
        throw new HoldfastError('conflict', 'the form is of another session: load the page again')
      const to = await act({ ...visit, reply, field: (name) => fieldOf(request.body, name) })
      return reply.redirect(to, 303)
    })
  }

  /** A form that may be sent without having signed in, and changes nothing but cookies. Resolves with the path to go on at, or a page. */
  openForm(
    path: string,
    act: (sent: Sent) => Promise<string | { readonly status: number; readonly page: Page }>,
  ): void {
    this.#route('POST', path, { audit: false, open: true }, 'page', async (request, reply) => {
      const visit = await this.#visit(request)
      const to = await act({ ...visit, reply, field: (name) => fieldOf(request.body, name) })
      if (typeof to === 'string') return reply.redirect(to, 303)
      return reply.code(to.status).type(HTML).send(page(visit.frame, to.page).toString())
    })
  }

  #route(
    method: 'GET' | 'POST',
    path: string,
    config: { readonly audit?: string | false; readonly open?: boolean },
    kind: 'page' | 'part',
    handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
  ): void {
    this.#options.app.route({
      method,
      url: `${ROOT}${path}`,
      config: { console: true, ...config },
      schema: { hide: true },
      onRequest: (request, reply, done) => {
        reply.headers(HEADERS)
        this.#renew(request, reply)
        if (request.credential !== null || config.open === true) return done()
        if (kind === 'part' || method === 'POST') return void this.#refuse(request, reply, kind, 'token_required')
        // A link from another site comes without the cookie, which is `SameSite=Strict`: the page asks again for itself.
        if (request.headers['sec-fetch-site'] === 'cross-site')
          return void reply.type(HTML).send(sameSitePage(request.url).toString())
        reply.redirect(`${SIGN_IN}?to=${encodeURIComponent(request.url)}`, 303)
      },
      errorHandler: (thrown, request, reply) => {
        const { code, detail } = faultOf(thrown, request, this.#options.log)
        void this.#refuse(request, reply, kind, code, detail)
      },
      handler: async (request, reply) => {
        await handler(request, reply)
        return reply
      },
    })
  }

  async #refuse(
    request: FastifyRequest,
    reply: FastifyReply,
    kind: 'page' | 'part',
    code: ProblemCode,
    detail?: string,
  ) {
    const problem = { ...problemAs(request, code), ...(detail !== undefined && { detail }) }
    reply.code(problem.status).type(HTML)
    if (kind === 'part') return reply.send(refusalPart(problem).toString())
    return reply.send(page(await this.#frame(request), refusalPage(problem)).toString())
  }

  async #visit(request: FastifyRequest): Promise<Visit> {
    const { url, params, credential } = request
    return {
      request,
      frame: await this.#frame(request),
      nowMs: this.#options.clock(),
      params: params as Record<string, string>,
      query: new URL(url, 'http://localhost').searchParams,
      mayChange: credential?.actor !== 'OPS_READ_TOKEN',
    }
  }

  async #frame(request: FastifyRequest): Promise<Frame> {
    const { badges, about } = this.#options
    const actor = request.credential?.actor
    return {
      ...preferencesOf(request),
      badges: request.credential === null ? {} : await badges(),
      version: VERSION,
      about: request.credential === null ? '' : await about(),
      right: actor === 'loopback' ? undefined : actor,
      csrf: this.#csrfOf(request),
      path: request.url,
    }
  }

  /** A session goes on as long as there are requests. */
  #renew(request: FastifyRequest, reply: FastifyReply): void {
    const { sessions } = this.#options
    const session = sessions.read(sessionCookieOf(request))
    const cookie = session?.isStale === true ? sessions.renew(session) : undefined
    if (cookie !== undefined) setSession(request, reply, cookie, IDLE_MS / 1_000)
  }

  #csrfOf(request: FastifyRequest): string {
    return this.#options.sessions.read(sessionCookieOf(request))?.csrf ?? 'none'
  }
}
