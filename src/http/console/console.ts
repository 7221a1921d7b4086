import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Credential } from '../ops/access.ts'
import type { OpsApp } from '../ops/ops-app.ts'
import { readAbout, readBadges } from './badges.ts'
import { sessionCookieOf } from './cookies.ts'
import { prepareAnswer } from './headers.ts'
import { registerAssets } from './html/assets.ts'
import { registerLiveSignal } from './live-signal.ts'
import { registerAuditPage } from './pages/audit.ts'
import { registerBulk } from './pages/bulk.ts'
import { registerConfiguration } from './pages/config.ts'
import { registerDeadLetters } from './pages/dead.ts'
import { registerEvent } from './pages/event.ts'
import { registerEventList } from './pages/events.ts'
import { registerHandlerPages } from './pages/handlers.ts'
import { registerOverview } from './pages/overview.ts'
import { registerPreferences } from './pages/preferences.ts'
import { registerReplayPages } from './pages/replays.ts'
import { registerSignIn } from './pages/sign-in.ts'
import { registerSourcePages } from './pages/sources.ts'
import { registerTaskPages } from './pages/tasks.ts'
import { type ConsoleOptions, shareReadings } from './ports.ts'
import { ConsoleRoutes } from './routes.ts'
import { createSessions } from './session.ts'
import { warmUp } from './warm-up.ts'

/** The pages for operators, on the ops listener. */
export interface Console {
  /** By what right a request is made whose cookie says that somebody has signed in. */
  readonly sessionOf: (request: FastifyRequest) => Credential | undefined
  readonly prepareAnswer: onRequestHookHandler
  readonly register: (app: OpsApp) => void
}

export function createConsole(given: ConsoleOptions): Console {
  const options = shareReadings(given)
  const { access, clock } = options
  const sessions = createSessions(access, clock)
  return {
    sessionOf: (request) => sessions.read(sessionCookieOf(request))?.credential,
    prepareAnswer,
    register: (app) => {
      const routes = new ConsoleRoutes({
        app,
        sessions,
        badges: readBadges(options),
        about: readAbout(options),
        readiness: options.readiness,
        clock,
      })
      registerAssets(app)
      registerSignIn(routes, sessions, options)
      registerLiveSignal(routes, sessions, options)
      registerPreferences(routes)
      registerOverview(routes, options)
      registerEventList(routes, options)
      registerEvent(routes, options)
      registerDeadLetters(routes, options)
      registerBulk(routes, options)
      registerReplayPages(routes, options)
      registerTaskPages(routes, options)
      registerSourcePages(routes, options)
      registerHandlerPages(routes, options)
      registerAuditPage(routes, options)
      registerConfiguration(routes, options)
      routes.others()
      warmUp(app)
    },
  }
}
