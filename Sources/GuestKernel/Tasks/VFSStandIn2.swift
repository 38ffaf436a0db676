public final class FileTable {
  var limit = 1024
  func clone() -> FileTable { FileTable() }
  func closeAll() {}
  func closeOnExec() {}
}
public final class FileSystemContext {
  var umask: UInt32 = 0o22
  func clone() -> FileSystemContext { FileSystemContext() }
}
public final class VFS {
  var consoleQueues: [WaitQueue] { [] }
}
extension Kernel {
  func openExecutable(_ task: Task?, _ path: [UInt8], directory: Int32?, noFollow: Bool = false) throws(Errno) -> OpenFile { throw .ENOENT }
  func reopenExecutable(_ file: OpenFile) throws(Errno) -> OpenFile { throw .ENOENT }
  func pathText(_ file: OpenFile) -> String { "" }
  func makeStandardStreams() throws(Errno) -> FileTable { FileTable() }
  func makeContext(_ directory: [UInt8]) throws(Errno) -> FileSystemContext { FileSystemContext() }
}
extension SyscallCall {
  func file(_ index: Int) throws -> OpenFile { throw Errno.EBADF }
}
extension SyscallTable {
  static let fileRows: [SyscallRow] = [], pathRows: [SyscallRow] = [], descriptorRows: [SyscallRow] = []
  static let transferRows: [SyscallRow] = [], pollRows: [SyscallRow] = [], eventRows: [SyscallRow] = []
}
enum PollCalls { static func poll(_ call: SyscallCall, _ d: UInt64, _ n: UInt64, deadline: UInt64?, mask: SignalSet?) throws -> Int64 { 0 } }
