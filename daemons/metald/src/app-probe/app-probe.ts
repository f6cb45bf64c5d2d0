/** Asks the app in a guest whether it answers. */
export interface AppProbe {
  /**
   * One try. True when the app answered a request in HTTP, whatever it said. False when it did not
   * connect, or did not answer, in time. Never rejects.
   *
   * @param endpoint - "ip:port"
   */
  answers(endpoint: string, signal: AbortSignal): Promise<boolean>;
}
