from twisted_sock.plugs import LinePlug

shout = LinePlug("shout", "Answers in capitals.", "shout.answer")
