/** Collects what a listing call answers, page after page. */
export async function everyPage<Answer extends { nextPageToken: string }, Item>(
  ask: (page: { pageSize: number; pageToken: string }) => Promise<Answer>,
  itemsOf: (answer: Answer) => Item[],
): Promise<Item[]> {
  const items: Item[] = [];
  let pageToken = '';
  do {
    const answer = await ask({ pageSize: 500, pageToken });
    items.push(...itemsOf(answer));
    pageToken = answer.nextPageToken;
  } while (pageToken !== '');
  return items;
}
