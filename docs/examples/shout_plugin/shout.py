def answer(line):
    return line.upper() + "!"
