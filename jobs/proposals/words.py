"""Words in names of columns, in the languages that files come in: what they speak for, and which names are taken."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TIME = _words(
    "time date datetime timestamp ts at when zeit zeitpunkt datum buchungstag tag uhrzeit fecha hora momento data "
    "heure horodatage jour epoch dt дата время tijd 日期 时间 日時 created occurred tarih czas дата_время ora "
    "giorno moment zaman tidpunkt dag hour_of datahora fechahora"
)
"""A moment."""
EVENT = _words(
    "transaction trans tx txn event order purchase payment booking buchung buchungs created occurred happened "
    "transaktion transaktions bestell kauf compra pedido commande achat vente operacion operation invoice click visit "
    "call trip pickup sale"
)
"""What happens."""
LATER = _words(
    "reported report closed close resolved settled settlement updated modified deleted returned refunded refund "
    "confirmed decided chargeback dispute disputed investigated end ended finished completed delivered cancelled "
    "churned gemeldet geschlossen meldung signale cierre reportado dropoff processed loaded ingested arrived labelled "
    "labeled outcome"
)
"""What is known or done after the event."""
BEFORE_ALL = _words(
    "birth born dob opened joined signup registered registration since expiry expires expiration valid due geburt "
    "geburtsdatum nacimiento naissance geboren issued"
)
"""Moments of people and contracts, which are no events."""
IDENTIFIER = _words(
    "id ids nr no num number code key uuid guid ref reference hash kennung nummer numero номер iban pan email mail "
    "phone ip imei mac clave cle sku"
)
"""What tells one from the others."""
ENTITY = _words(
    "customer client kunde kunden cliente user usuario utilisateur benutzer account konto cuenta compte card karte "
    "karten carte tarjeta cc terminal merchant haendler handler comercio marchand commercant shop store filiale "
    "laden device geraet gerat seller buyer driver vehicle product item article artikel produkt producto member "
    "patient employee supplier vendor branch depot sender receiver orig dest host клиент карта терминал 商户 客户 "
    "session sensor machine station player partner магазин продавец товар пользователь счет loja lojista cartao "
    "conta utente negozio carta conto esercente klant winkel kaart rekening klient sklep karta musteri magaza kart "
    "kund butik kort 卡号 用户 顧客 店舗 payer payee beneficiary debtor creditor provider tienda boutique vendeur "
    "vendedor chauffeur conducteur usager passenger subscriber msisdn"
)
"""Who or what events are about."""
AMOUNT = _words(
    "amount amt betrag umsatz montant importe valor price preis prix precio total sum summe value wert monto cost "
    "fare revenue сумма bedrag kwota 金额 importo"
)
"""Money, or how much."""
LABEL = _words(
    "fraud isfraud fraudulent betrug betrugsfall fraude frode label target churn churned default defaulted class "
    "klasse clase classe chargeback returned is y outcome converted conversion clicked cancelled canceled late spam "
    "anomaly malicious bad positive response ziel zielvariable etiqueta objetivo cible мошенничество 欺诈 ground "
    "truth gekuendigt storniert impago baja failure failed defect abuse suspicious attrition vittima ausfall "
    "rueckgabe devuelto devolucion retour gekündigt abgewandert resilie rotatividade inadimplente frodi "
    "dolandiricilik oszustwo bedrägeri"
)
"""What one would like to foresee."""
STRONG_LABEL = _words(
    "label target class klasse clase classe fraud isfraud betrug fraude frode churn churned y ziel zielvariable "
    "objetivo cible etiqueta outcome мошенничество 欺诈 chargeback default defaulted fraudulent attrition "
    "betrugsfall inadimplente dolandiricilik oszustwo"
)
"""The same, beyond doubt."""
AFTERWARDS = _words(
    "chargeback reported resolved closed refund refunded dispute outcome investigation settled final scenario "
    "prediction predicted score verdict decision resolution"
)
"""What is found out afterwards."""
RESERVED = _words(
    "again arm bundle_sha256 case_id changed_in created_timestamp decided_at decision entity event_date "
    "event_timestamp events_loaded_in fallback feature_versions feature_view file first_event_date is_target known_at "
    "known_label label_source latency loaded_in lower model_version nightly online origin place placed prediction "
    "probabilities profile_view propensity rank reason reports reports_loaded_in row row_deleted score scored_at "
    "stream_offset stream_partition stream_schema stream_topic superseded_at tags timedelta timezone touched upper "
    "use_cases value verdict version versions"
)
"""Names that tables, SQL or files of Feast have for something else."""
SQL = _words(
    "all alter and any array as asc avg between both by case cast check coalesce collate column count create cross "
    "cube current current_date current_time current_timestamp current_user database date day delete desc describe "
    "distinct drop else end escape except exists explain false fetch filter first for foreign from full function "
    "grant greatest group grouping having hour if in index inner insert intersect interval into is join key lag last "
    "lateral lead leading least left like limit map max min minus minute month natural not null nulls of offset on "
    "only or order outer over overlaps partition position primary qualify range rank references rename replace revoke "
    "right rollup rows second select session set some start struct sum table tables then time timestamp to trailing "
    "true truncate type union unique unknown update use user using values view when where window with year"
)
"""Words of SQL."""
