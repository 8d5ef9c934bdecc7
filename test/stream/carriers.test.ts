import { platform } from "node:process";
import { carrierLaws } from "../laws/carrier-laws.ts";
import { nativeCarrier, nodeCarrier } from "../support/carriers.ts";

carrierLaws("the node carrier", nodeCarrier);

// On another system there is none. Here its absence is a failure.
if (platform === "linux") carrierLaws("the native carrier", nativeCarrier);
