import { randomUUID } from 'node:crypto'

export interface FakeRegistration {
  readonly id: string
  readonly url: string
  readonly events: readonly string[]
  readonly active: boolean
}

interface Answer {
  readonly status: number
  readonly body?: unknown
}

/** The tutorial's webhooks API. Secrets go in and never come out. */
export class FakeRegistrations {
  readonly byId = new Map<string, FakeRegistration>()
  readonly secrets = new Map<string, string>()

  /** Undefined: it has no such route. */
  answer(method: string, id: string | undefined, body: unknown): Answer | undefined {
    if (id === undefined) {
      if (method === 'GET') return { status: 200, body: { webhooks: [...this.byId.values()] } }
      return method === 'POST' ? this.#create(body as Record<string, unknown>) : undefined
    }
    const known = this.byId.get(id)
    if (known === undefined) return { status: 404, body: { error: 'no such webhook' } }
    if (method === 'PATCH') return this.#update(known, body as Record<string, unknown>)
    if (method !== 'DELETE') return undefined
    this.byId.delete(id)
    this.secrets.delete(id)
    return { status: 204 }
  }

  #create({ url, events, secret }: Record<string, unknown>): Answer {
    if (typeof url !== 'string' || !Array.isArray(events)) return { status: 400, body: { error: 'url and events' } }
    const registration = { id: `wh_${randomUUID()}`, url, events, active: true }
    this.byId.set(registration.id, registration)
    if (typeof secret === 'string') this.secrets.set(registration.id, secret)
    return { status: 201, body: registration }
  }

  #update(known: FakeRegistration, { url, events, active, secret }: Record<string, unknown>): Answer {
    const registration = {
      ...known,
      ...(typeof url === 'string' && { url }),
      ...(Array.isArray(events) && { events }),
      ...(typeof active === 'boolean' && { active }),
    }
    this.byId.set(known.id, registration)
    if (typeof secret === 'string') this.secrets.set(known.id, secret)
    return { status: 200, body: registration }
  }
}
