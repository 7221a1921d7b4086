import type { TSchema } from '@sinclair/typebox'
import type { WebhookEvent } from '../domain/event.ts'
import type { Handler } from '../domain/handler.ts'
import { createRouter, type HandlerModule, type RegisteredHandler } from '../domain/router.ts'

/** What `runHandler` runs: a handler, what a handler module exports by default, or the module itself (`import * as orders`). */
export type Runnable = Handler<never> | HandlerModule | { readonly default: HandlerModule }

/** The module of a handler whose file is not known: the part of its name before the colon. */
export const MODULE = 'module'

/** A type for which a handler can be registered by its full name, which is part of the handler's name. A sender may send any other. */
const SELECTABLE = /^[^\s\p{Cc}*]{1,200}$/u

/** Registers what a test runs, as the service does: all handlers of a module, or the one handler, for the type of the event. */
export async function handlersOf(
  runnable: Runnable,
  type: string,
  schema: TSchema | undefined,
): Promise<readonly RegisteredHandler[]> {
  const registered: RegisteredHandler[] = []
  const router = createRouter(MODULE, registered, tooLate)
  const module = moduleIn(runnable)
  if (module === undefined) {
    const handler = asHandler(runnable as Handler)
    const selected = SELECTABLE.test(type) ? type : '*'
    if (schema === undefined) router.register(selected, handler)
    else router.on(selected, { schema }, handler as Handler<WebhookEvent<string, unknown>>)
    return registered
  }
  if (schema !== undefined)
    throw new TypeError('a module has its own schemas: the option schema is for a handler alone')
  await module(router)
  Object.freeze(registered)
  if (registered.length === 0)
    throw new TypeError(
      'this module registers no handler. A handler that is no module, but uses on() of its first argument, takes two parameters: (event, context)',
    )
  const names = registered.map(({ definition }) => definition.name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new TypeError(`two handlers of the module have the name ${twice}`)
  return registered
}

function tooLate(name: string): never {
  throw new TypeError(
    `${name} is registered after the module has loaded: the module must await everything that it waits for`,
  )
}

function moduleIn(runnable: Runnable): HandlerModule | undefined {
  if (typeof runnable === 'object' && runnable !== null && typeof runnable.default === 'function')
    return runnable.default
  if (typeof runnable !== 'function')
    throw new TypeError('runHandler takes a handler, or what a handler module exports by default')
  return isModule(runnable) ? (runnable as HandlerModule) : undefined
}

/** The first parameter in the text of a function: its name, or its pattern. */
const FIRST_PARAMETER = /^(?:async\b\s*)?(?:function\b\s*)?(?:[\w$]+\s*(?=\())?\(?\s*(?<first>\{[^}]*\}|[\w$]+)/

/**
 * A module and a handler are both functions, and a handler must not be called to find out. So the text of the function tells: only a
 * module takes one parameter that is named `router`, or on which it calls `on` or `register`.
 */
function isModule(run: (...args: never[]) => unknown): boolean {
  if (run.length > 1) return false
  const text = Function.prototype.toString.call(run)
  const first = FIRST_PARAMETER.exec(text)?.groups?.first ?? ''
  if (first === '') return false
  if (first.startsWith('{')) return /\b(?:on|register)\b/.test(first)
  return (
    /^_*router$/i.test(first) ||
    new RegExp(`(?<![\\w$.])${RegExp.escape(first)}\\s*\\.\\s*(?:on|register)\\s*\\(`).test(text)
  )
}

export const WRONG =
  'runHandler took this function for a handler, but it registers handlers: name its parameter router, or pass the whole module (import * as orders)'

/** A module that was taken for a handler fails with a message that says so. */
function asHandler(run: Handler): Handler {
  const misused = (): never => {
    throw new TypeError(WRONG)
  }
  return (event: WebhookEvent, context) =>
    run(Object.defineProperties(event, { on: { value: misused }, register: { value: misused } }), context)
}
