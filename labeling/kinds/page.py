"""How all labelling pages look: what is shown above, what is answered below, in Label Studio's XML and some CSS.

The XML is fixed for each kind: no text of a task ever stands in it. Names of classes that end in a hash are found by
their beginning (seen in Label Studio 1.23.2); where a later version calls them otherwise, a page is only less tidy. The
instructions open in a window that has no style of its own, and the server takes out what they bring: so it is here.
"""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

_STYLE = """
.lsf-label-view__lsf-wrapper_mode_labeling .lsf-sidepanels { padding: 0 !important; }
.lsf-label-view__lsf-wrapper_mode_labeling :is(.lsf-tabs-panel, .lsf-sidepanels__wrapper, .lsf-topbar) {
  display: none !important; }
.page { max-width: 1280px; margin: 0 auto; }
.page h4, .page h5 { margin: 4px 0 2px; font-size: 15px; }
.box { border: 1px solid var(--color-neutral-border, #d6d8de); border-radius: 8px; padding: 4px 14px;
  background: var(--color-neutral-background, #ffffff); overflow: auto; resize: vertical; }
.box .lsf-object, .box .lsf-richtext { border: 0; margin: 0; padding: 0; box-shadow: none; }
.box .lsf-richtext__container { padding: 6px 0; }
.box .lsf-richtext__line, .box [class*=dialoguetext--] { white-space: pre-wrap; overflow-wrap: anywhere; }
.box .lsf-richtext__line, .box [class*=dialoguetext--], .htx-ranker-item p { font-size: 15px; line-height: 1.5; }
.box [class*=wrapper_header--], .box [class*=selectAllBtnWrapper--], .box [class*=time--] { display: none; }
.box [class*=paragraphs--], .box [class*=container--] { max-height: none; margin: 0; padding: 0; }
.box [class*=phraseContainer--] { margin: 4px 0; padding: 0; }
.box [class*=phrase--] { margin: 0; padding: 3px 10px; cursor: text; width: 100%; max-width: none;
  display: grid; grid-template-columns: 96px minmax(0, 1fr); gap: 10px; }
.notes [class*=phrase--] { grid-template-columns: 240px minmax(0, 1fr); }
.box [class*=dialoguename--] { color: var(--color-neutral-content, #24262b) !important;
  font-size: 13px; line-height: 23px; }
.talk { max-height: 34vh; }
.answer { max-height: 40vh; min-height: 80px; }
.notes { max-height: 22vh; margin-top: 8px; background: var(--color-neutral-surface, #f5f5f2); }
.notes:not(:has([class*=dialoguetext--]:not(:empty))) { display: none; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 14px; }
.pair .answer { height: calc(100% - 40px); }
.controls { margin: 4px 0 24px; }
.controls textarea { min-height: 220px; font-size: 15px; line-height: 1.5; resize: vertical; }
.controls .lsf-choices { display: flex; flex-wrap: wrap; gap: 6px; margin: 0; }
.controls .lsf-choice { margin: 0; }
.controls .lsf-choice__item { margin: 0; padding: 5px 10px; border-radius: 6px;
  border: 1px solid var(--color-neutral-border, #d6d8de); background: var(--color-neutral-background, #ffffff); }
.controls .lsf-choice sup { margin-left: 6px; opacity: 0.65; font-size: 11px; }
.controls .lsf-choice__item:has(input:checked) { border-color: var(--color-primary-border, #4c5fa9);
  background: var(--color-primary-emphasis-subtle, #e8ebf7); }
.lsf-modal-ls__content h1 { font-size: 20px; margin: 4px 0 10px; }
.lsf-modal-ls__content h2 { font-size: 17px; margin: 18px 0 6px; }
.lsf-modal-ls__content p, .lsf-modal-ls__content table { margin: 0 0 10px; }
.lsf-modal-ls__content ul, .lsf-modal-ls__content ol { margin: 0 0 10px; padding-left: 24px; list-style: disc; }
.lsf-modal-ls__content ol { list-style: decimal; }
.lsf-modal-ls__content th, .lsf-modal-ls__content td { padding: 4px 10px; text-align: left; vertical-align: top;
  border: 1px solid var(--color-neutral-border, #d6d8de); }
"""
"""Where tasks come one by one ("Label All Tasks"), the panels go: they take a third of the page, and would name the
models of drafts. Whoever opens a task from the table sees all that is there, others' answers too, whatever we hide.
"""


def page(above: str, controls: str, style: str = "") -> str:
    """A configuration, of what labellers see and what they answer."""
    return (
        f'<View className="page">\n<Style>{_STYLE}{style}</Style>\n{above}\n'
        f'<View className="controls">\n{controls}\n</View>\n</View>'
    )


def header(words: str) -> str:
    return f'<Header value={quoteattr(words)} size="5"/>'


def talk(name: str, words: str) -> str:
    """A conversation, under a heading; `$name` is a list of {"who", "text"}."""
    return f'{header(words)}\n<View className="box talk">{_paragraphs(name)}</View>'


def notes(name: str = "notes") -> str:
    """Remarks; the box is not seen where there are none."""
    return f'<View className="box notes">{_paragraphs(name)}</View>'


def text(name: str, words: str) -> str:
    return f'<View>{header(words)}<View className="box answer"><Text name="{name}" value="${name}"/></View></View>'


def choices(
    name: str,
    to: str,
    options: Sequence[tuple[str, str, str]],
    words: str,
    *,
    many: bool = False,
    required: bool = True,
) -> str:
    """A question with its options (stored value, words, hot-key), which the page shows behind the words."""
    listed = "\n".join(
        f'  <Choice value={quoteattr(label)} alias="{value}" hotkey="{key}"/>' for value, label, key in options
    )
    how = f'choice="{"multiple" if many else "single-radio"}" showInline="true" required="{str(required).lower()}"'
    return f'{header(words)}\n<Choices name="{name}" toName="{to}" {how}>\n{listed}\n</Choices>'


def box(name: str, to: str, words: str, hint: str) -> str:
    """A box to write in. `transcription` makes of a draft a text that is edited in its place."""
    how = 'rows="10" maxSubmissions="1" editable="true" transcription="true" showSubmitButton="false" required="true"'
    return f'{header(words)}\n<TextArea name="{name}" toName="{to}" {how} placeholder={quoteattr(hint)}/>'


def _paragraphs(name: str) -> str:
    return f'<Paragraphs name="{name}" value="${name}" layout="dialogue" nameKey="who" textKey="text"/>'


class Page:
    """What kinds share: a configuration of two parts, to which a review adds what others said."""

    above: str
    controls: str
    style: str = ""
    untouched: bool = True

    def config(self) -> str:
        return page(self.above, self.controls, self.style)
