"""A file that is either the old one or the new one."""

import os
import socket
import stat

from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import PlugError, ScriptError
from twisted_sock.protocols.proxy import Proxy
from twisted_sock.script.reading import read
from twisted_sock.script.saving import save


class SavingTest(SynchronousTestCase):
    def setUp(self):
        self.folder = self.mktemp()
        os.makedirs(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def special(self):
        """What is no plain file: a pipe, a socket, a folder, a link to a device."""
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("folder"))
        os.symlink("/dev/null", self.path("device"))
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(self.path("s"))
        return ["pipe", "folder", "device", "s"]

    def test_the_old_one_is_replaced(self):
        for text in ("one", "two"):
            save(self.path("file"), text)
            with open(self.path("file")) as file:
                self.assertEqual(file.read(), text)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("file")).st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_unless_it_is_to_be_new(self):
        save(self.path("file"), "one", replace=False)
        self.assertRaises(FileExistsError, save, self.path("file"), "two", replace=False)
        with open(self.path("file")) as file:
            self.assertEqual(file.read(), "one")
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_what_is_no_plain_file_stays_what_it_is(self):
        names = self.special()
        before = [os.lstat(self.path(name)).st_ino for name in names]
        for name in names:
            self.assertRaises(OSError, save, self.path(name), "text")
            self.assertRaises(PlugError, Proxy, "localhost:1", record=self.path(name))
        self.assertEqual([os.lstat(self.path(name)).st_ino for name in names], before)
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(names))

    def test_nor_is_it_read_for_a_script(self):
        """To read a pipe would be to wait for somebody to write into it."""
        for name in self.special():
            error = self.assertRaises(ScriptError, read, self.path(name))
            self.assertIn(self.path(name), str(error))
