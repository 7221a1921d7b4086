import { Type } from '@sinclair/typebox'
import { HoldfastError } from '../../domain/errors.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import type { WebhookManager } from '../../domain/webhook-manager.ts'
import {
  RegistrationListSchema,
  RegistrationOutcomeSchema,
  RegistrationSchema,
  registrationJson,
  registrationListJson,
  registrationOutcomeJson,
} from '../schemas/registrations.ts'
import { Text } from '../schemas/schema.ts'
import { inWords, noteChange } from './audit.ts'
import type { OpsApp } from './ops-app.ts'

/** Event types of one registration, and characters of its URL. */
const MAX_EVENTS = 200
const MAX_URL_LENGTH = 2_048

const closed = { additionalProperties: false }
const Events = Type.Array(Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH }), {
  minItems: 1,
  maxItems: MAX_EVENTS,
  description: "By the provider's names; * stands for any characters. Default: the source's types",
})
const Url = Type.String({
  minLength: 1,
  maxLength: MAX_URL_LENGTH,
  description: 'http or https. Default: the URL at which the source receives webhooks',
})

const Creation = Type.Object(
  {
    source: Text('Name of the source'),
    events: Type.Optional(Events),
    url: Type.Optional(Url),
    ensure: Type.Optional(
      Type.Boolean({
        description:
          "Register only if no registration has the source's URL; otherwise switch it on and add missing events",
      }),
    ),
  },
  closed,
)
const Changes = Type.Object(
  { events: Type.Optional(Events), url: Type.Optional(Url), active: Type.Optional(Type.Boolean()) },
  { ...closed, minProperties: 1 },
)
const Params = Type.Object({ source: Type.String(), id: Type.String() })
const Query = Type.Object({ source: Type.Optional(Text('Of this source only')) }, closed)

export function registerRegistrations(app: OpsApp, webhooks: WebhookManager): void {
  app.get(
    '/v1/registrations',
    {
      config: { callsOut: true },
      schema: {
        summary: 'Webhooks registered at the providers, who are asked at each call',
        tags: ['registrations'],
        querystring: Query,
        response: { 200: RegistrationListSchema },
      },
    },
    async ({ query }, reply) => reply.send(registrationListJson(await webhooks.list(query.source))),
  )

  app.post(
    '/v1/registrations',
    {
      config: { audit: 'registration.create' },
      schema: {
        summary: 'Register a source at its provider: 201 if a registration was made, 200 if one existed',
        tags: ['registrations'],
        body: Creation,
        response: { 200: RegistrationOutcomeSchema, 201: RegistrationOutcomeSchema },
      },
    },
    async (request, reply) => {
      const { source, ensure, ...changes } = request.body
      noteChange(request, { target: source })
      if (ensure === true && changes.url !== undefined)
        throw new HoldfastError('invalid_request', "ensure always uses the source's own URL: leave url out")
      const registered = await (ensure === true ? webhooks.ensure(source, changes) : webhooks.create(source, changes))
      noteChange(request, {
        target: `${source}/${registered.registration.id}`,
        count: registered.action === 'unchanged' ? 0 : 1,
      })
      return reply.code(registered.action === 'created' ? 201 : 200).send(registrationOutcomeJson(registered))
    },
  )

  registerRegistration(app, webhooks)
}

/** The routes of one registration. */
function registerRegistration(app: OpsApp, webhooks: WebhookManager): void {
  app.patch(
    '/v1/registrations/:source/:id',
    {
      config: { audit: 'registration.update' },
      schema: {
        summary: 'Change a registration at its provider; fields that are absent stay as they are',
        tags: ['registrations'],
        params: Params,
        body: Changes,
        response: { 200: RegistrationSchema },
      },
    },
    async (request, reply) => {
      const { params, body } = request
      noteChange(request, { target: `${params.source}/${params.id} ${inWords(body)}` })
      return reply.send(registrationJson(await webhooks.update(params.source, params.id, body)))
    },
  )

  app.delete(
    '/v1/registrations/:source/:id',
    {
      config: { audit: 'registration.delete' },
      schema: {
        summary: 'Delete a registration at its provider',
        tags: ['registrations'],
        params: Params,
        response: { 204: Type.Null({ description: 'The registration was deleted' }) },
      },
    },
    async ({ params: { source, id } }, reply) => {
      await webhooks.remove(source, id)
      return reply.code(204).send(null)
    },
  )
}
