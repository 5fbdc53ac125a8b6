# Connects as each line of the input says, and runs a command by each of the ways that psycopg2 has. A line of the
# output says what came of it.
import sys
import psycopg2

for line in sys.stdin:
    try:
        connection = psycopg2.connect(line.strip())
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("tenant_list")
        first = cursor.fetchone()
        connection.autocommit = False  # from now on a command is within a transaction
        cursor.execute("tenant_list")
        connection.commit()
        print("ok", first[0] if first == cursor.fetchone() else "differs", flush=True)
        connection.close()
    except psycopg2.Error as e:
        print("error", " ".join(str(e).split()), flush=True)
