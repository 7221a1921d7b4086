import { isHoldfastError } from '../domain/errors.ts'
import type { RegistrationList, SourceRegistration } from '../domain/registrar.ts'
import { listAll } from './ask.ts'
import { shown } from './registration.ts'
import type { Registry } from './source.ts'

export const listOne = async (registry: Registry): Promise<readonly SourceRegistration[]> =>
  (await listAll(registry)).map((registration) => shown(registry.source, registration))

/** All at once; what a source fails with is told beside what the others have. Rejects only with what is no fault of theirs. */
export async function listEach(registries: readonly Registry[]): Promise<RegistrationList> {
  const lists = await Promise.all(registries.map(listOrFailure))
  return { items: lists.flatMap(({ items }) => items), failed: lists.flatMap(({ failed }) => failed) }
}

async function listOrFailure(registry: Registry): Promise<RegistrationList> {
  try {
    return { items: await listOne(registry), failed: [] }
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return { items: [], failed: [{ source: registry.source.name, detail: error.message }] }
  }
}
