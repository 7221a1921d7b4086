import { type Static, Type } from '@sinclair/typebox'
import {
  REGISTRATION_ACTIONS,
  type RegistrationList,
  type RegistrationOutcome,
  type SourceRegistration,
} from '../../domain/webhook-manager.ts'
import { OneOf } from './schema.ts'

export const RegistrationSchema = Type.Object({
  source: Type.String(),
  id: Type.String({ description: 'The id that the provider gave' }),
  url: Type.String(),
  events: Type.Array(Type.String(), { description: 'As the provider names them; * alone: all' }),
  active: Type.Boolean(),
  ours: Type.Boolean({ description: 'Whether its URL is the one at which this source receives webhooks' }),
})
const Failure = Type.Object({ source: Type.String(), detail: Type.String() })
export const RegistrationListSchema = Type.Object({
  items: Type.Array(RegistrationSchema),
  failed: Type.Array(Failure, {
    description:
      'Sources that could not be listed, and why. With the parameter source, such a failure is an error instead',
  }),
})
export const RegistrationOutcomeSchema = Type.Object({
  action: OneOf(REGISTRATION_ACTIONS),
  registration: RegistrationSchema,
  secret: Type.Optional(
    Type.String({ description: 'Handed out by the provider when it made the registration; not shown again' }),
  ),
  configure: Type.Optional(
    Type.String({
      description: 'What to do with the secret, or what to do if a secret that was shown before is lost',
    }),
  ),
})

/** A webhook registered at a provider, as the ops API shows it. */
export type RegistrationJson = Static<typeof RegistrationSchema>
export type RegistrationListJson = Static<typeof RegistrationListSchema>
export type RegistrationOutcomeJson = Static<typeof RegistrationOutcomeSchema>

export const registrationJson = (registration: SourceRegistration): RegistrationJson => ({
  ...registration,
  events: [...registration.events],
})

export const registrationListJson = ({ items, failed }: RegistrationList): RegistrationListJson => ({
  items: items.map(registrationJson),
  failed: [...failed],
})

export const registrationOutcomeJson = ({ registration, ...rest }: RegistrationOutcome): RegistrationOutcomeJson => ({
  ...rest,
  registration: registrationJson(registration),
})
