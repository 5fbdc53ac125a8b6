/*
 * A client that has nothing but libpq, and not its headers: PQexec, PQexecParams, the COPY
 * calls and PQcancel, on each line of stdin. What it prints is compared by the test.
 *
 *   exec COMMAND       PQexec
 *   params COMMAND     PQexecParams, results in binary
 *   page HEX           a request of pagestream: PQputCopyData, then one answer
 *   done               PQputCopyEnd
 *   cancelled COMMAND  PQsendQuery, then PQcancel
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef struct pg_cancel PGcancel;
extern PGconn *PQconnectdb(const char *);
extern int PQstatus(const PGconn *), PQresultStatus(const PGresult *), PQntuples(const PGresult *), PQnfields(const PGresult *);
extern int PQgetlength(const PGresult *, int, int), PQgetisnull(const PGresult *, int, int), PQsendQuery(PGconn *, const char *);
extern int PQgetCopyData(PGconn *, char **, int), PQputCopyData(PGconn *, const char *, int), PQputCopyEnd(PGconn *, const char *);
extern int PQisBusy(PGconn *), PQconsumeInput(PGconn *);
extern int PQtransactionStatus(const PGconn *), PQcancel(PGcancel *, char *, int), PQflush(PGconn *);
extern unsigned PQftype(const PGresult *, int);
extern char *PQerrorMessage(const PGconn *), *PQfname(const PGresult *, int), *PQgetvalue(const PGresult *, int, int);
extern char *PQresultErrorField(const PGresult *, int), *PQcmdStatus(PGresult *), *PQresStatus(int);
extern PGresult *PQexec(PGconn *, const char *), *PQgetResult(PGconn *);
extern PGresult *PQexecParams(PGconn *, const char *, int, const unsigned *, const char *const *, const int *, const int *, int);
extern PGcancel *PQgetCancel(PGconn *);
extern void PQclear(PGresult *), PQfreemem(void *), PQfinish(PGconn *);

enum { TUPLES_OK = 2, COPY_OUT = 3, FATAL_ERROR = 7, COPY_BOTH = 8 };

static void copied(PGconn *c)
{
	char *data;
	long total = 0;
	int n;

	while ((n = PQgetCopyData(c, &data, 0)) > 0) {
		total += n;
		PQfreemem(data);
	}
	printf("copied %ld\n", total);
}

static void show(PGconn *c, PGresult *r)
{
	int status = PQresultStatus(r), i, j;

	if (status == FATAL_ERROR) {
		printf("error %s\n", PQresultErrorField(r, 'C'));
		return;
	}
	printf("%s %s\n", PQresStatus(status), PQcmdStatus(r));
	if (status == COPY_OUT)
		copied(c);
	if (status != TUPLES_OK)
		return;
	for (j = 0; j < PQnfields(r); j++)
		printf("%s:%u ", PQfname(r, j), PQftype(r, j));
	printf("\n");
	for (i = 0; i < PQntuples(r); i++) {
		for (j = 0; j < PQnfields(r); j++)
			printf("%d%s ", PQgetlength(r, i, j), PQgetisnull(r, i, j) ? "null" : "");
		printf("\n");
	}
}

static void finish(PGconn *c)
{
	PGresult *r;

	while ((r = PQgetResult(c)) != NULL) {
		show(c, r);
		PQclear(r);
	}
}

static void page(PGconn *c, const char *hex)
{
	char request[64], *answer;
	int n = 0, i;

	for (; hex[0] && hex[1]; hex += 2, n++)
		sscanf(hex, "%2hhx", (unsigned char *)&request[n]);
	PQputCopyData(c, request, n);
	PQflush(c);
	n = PQgetCopyData(c, &answer, 0);
	printf("answer %d ", n);
	for (i = 0; i < n && i < 6; i++)
		printf("%02x", (unsigned char)answer[i]);
	printf("\n");
}

static void cancelled(PGconn *c, const char *command)
{
	PGcancel *cancel = PQgetCancel(c);
	char message[256];

	PQsendQuery(c, command);
	do { /* a request that comes before the server has begun with the command does nothing */
		usleep(100000);
		PQcancel(cancel, message, sizeof message);
		PQconsumeInput(c);
	} while (PQisBusy(c));
	finish(c);
}

int main(int argc, char **argv)
{
	PGconn *c = PQconnectdb(argv[1]);
	char line[4096];
	PGresult *r;

	if (argc != 2 || PQstatus(c) != 0) {
		fprintf(stderr, "%s", PQerrorMessage(c));
		return 1;
	}
	while (fgets(line, sizeof line, stdin)) {
		char *rest = strchr(line, ' ');

		line[strcspn(line, "\n")] = 0;
		if (rest)
			*rest++ = 0;
		if (!strcmp(line, "page")) {
			page(c, rest);
			continue;
		}
		if (!strcmp(line, "cancelled"))
			cancelled(c, rest);
		else if (!strcmp(line, "done"))
			PQputCopyEnd(c, NULL);
		else {
			r = !strcmp(line, "exec") ? PQexec(c, rest) : PQexecParams(c, rest, 0, NULL, NULL, NULL, NULL, 1);
			show(c, r);
			if (PQresultStatus(r) == COPY_BOTH)
				continue;
			PQclear(r);
		}
		finish(c);
		printf("state %d\n", PQtransactionStatus(c));
	}
	PQfinish(c);
	return 0;
}
