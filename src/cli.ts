#!/usr/bin/env node
import process from "node:process";
import { Requests } from "./worker/requests.ts";

// Imports next to nothing, so that a gateway hears signals before its program is loaded, which takes most of its start.
const requests = process.argv[2] === "start" ? new Requests() : undefined;
const { runProgram } = await import("./program.ts");
await runProgram(process.argv, requests);
