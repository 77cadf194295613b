"""Sure reads by id: what a 404 or an act that can't be undone may rest on."""

from __future__ import annotations

from weakref import WeakValueDictionary

from persistence.coalesce import SharedQuery
from persistence.documents import Document
from persistence.driver import Collection


class SureReads:
    """Linearizable reads of single documents. Requests that wait for one id share that id's next query."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        # An id's query lives as long as someone waits for it.
        self._by_id: WeakValueDictionary[str, SharedQuery[Document | None]] = WeakValueDictionary()

    async def get(self, document_id: str) -> Document | None:
        """Read a document as the majority has it now; None means that it is gone.

        Raises:
            StoreUnavailable: Nobody can say.
        """
        shared = self._by_id.get(document_id)
        if shared is None:
            shared = SharedQuery(lambda: self._read(document_id))
            self._by_id[document_id] = shared
        return await shared()

    async def _read(self, document_id: str) -> Document | None:
        return await self._collection.find_one({"_id": document_id}, linearizable=True)
