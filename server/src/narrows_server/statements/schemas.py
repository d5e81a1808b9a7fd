"""What the statement endpoints say, as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from narrows_server.statements.models import Statement


class StatementOut(BaseModel):
    """A statement: where it belongs, its hash, and the document itself."""

    id: str
    contract_id: str
    period: str
    drawn_up_at: datetime
    hash: str
    document: dict[str, Any]

    @classmethod
    def of(cls, statement: Statement) -> StatementOut:
        return cls(
            id=statement.id,
            contract_id=statement.contract_id,
            period=statement.period,
            drawn_up_at=statement.drawn_up_at,
            hash=statement.hash,
            document=json.loads(statement.document),
        )
