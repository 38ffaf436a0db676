/// How large the parts of a definition may be.
///
/// - SeeAlso: Linux, `kernel/trace/trace_probe.h`: `MAX_TRACE_ARGS`, `MAX_ARGSTR_LEN`,
///   `MAX_ARRAY_LEN`, `MAX_ARG_NAME_LEN`, `FETCH_INSN_MAX`, `MAX_STRING_SIZE`,
///   `MAX_PROBE_EVENT_SIZE`; `kernel/trace/trace.h`: `MAX_EVENT_NAME_LEN`.
public enum EventLimits {
  /// Arguments of one event.
  public static let arguments = 128
  /// Bytes of one argument's expression.
  public static let expression = 63
  /// Bytes of an argument's name.
  public static let argumentName = 32
  /// Elements of an array.
  public static let array = 64
  /// Bytes of a group's or an event's name, and a NUL.
  public static let name = 64
  /// Steps of a fetch program, its end included.
  public static let steps = 16
  /// Bytes of a string, its NUL included.
  public static let string = 4096
  /// Bytes of an event's record.
  public static let record = 3072
  /// Instances of a return probe.
  ///
  /// - SeeAlso: Linux, `kernel/trace/trace_kprobe.c`, `KRETPROBE_MAXACTIVE_MAX`.
  public static let maxActive: UInt64 = 4096
  /// Words of a kernel stack, and the highest argument: `PARAM_MAX_STACK` for stacks of 16 KiB.
  public static let stackWords: UInt64 = 2048
  /// Bytes of a definition (`WRITE_BUFSIZE`).
  public static let line = 4096
}
