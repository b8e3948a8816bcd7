"""The line editor, as far as it can be had without a terminal: what it is given back."""

from twisted.trial.unittest import SynchronousTestCase

try:
    from twisted_sock.cli.editor import Editor
except ImportError as missing:
    Editor = None
    WHY = str(missing)


class GivenBackTest(SynchronousTestCase):
    """What cannot be had again has to be shown, so it has to be told."""

    if Editor is None:
        skip = WHY

    def test_one_text_waits_for_the_next_prompt(self):
        editor = Editor(history=False)
        self.assertTrue(editor.give_back("first"))
        self.assertFalse(editor.give_back("second"))
        self.assertEqual(editor._begin, "first")
