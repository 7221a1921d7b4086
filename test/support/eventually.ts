/** Asks again, quickly, until the answer is as expected; gives it. Fails when it is not within the time. */
export async function eventually<Value>(
  ask: () => Promise<Value>,
  accept: (value: Value) => boolean,
  withinMs = 20_000,
): Promise<Value> {
  const until = Date.now() + withinMs
  for (;;) {
    const value = await ask()
    if (accept(value)) return value
    if (Date.now() > until)
      throw new Error(`not within ${withinMs} ms; at last: ${JSON.stringify(value)?.slice(0, 2_000)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
