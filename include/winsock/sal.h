/* Annotations of Microsoft's analyser, which mean nothing to a compiler here. */
#ifndef COUNTERSIGN_SAL_H
#define COUNTERSIGN_SAL_H

#define _In_
#define _In_opt_
#define _In_z_
#define _In_opt_z_
#define _In_reads_(count)
#define _In_reads_opt_(count)
#define _In_reads_z_(count)
#define _In_reads_or_z_(count)
#define _In_reads_bytes_(count)
#define _In_reads_bytes_opt_(count)
#define _In_count_(count)
#define _In_bytecount_(count)
#define _Out_
#define _Out_opt_
#define _Out_writes_(count)
#define _Out_writes_opt_(count)
#define _Out_writes_z_(count)
#define _Out_writes_all_(count)
#define _Out_writes_to_(count, written)
#define _Out_writes_bytes_(count)
#define _Out_writes_bytes_opt_(count)
#define _Out_writes_bytes_all_(count)
#define _Out_writes_bytes_to_(count, written)
#define _Out_writes_bytes_to_opt_(count, written)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Inout_
#define _Inout_opt_
#define _Inout_z_
#define _Inout_updates_(count)
#define _Inout_updates_bytes_(count)
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Ret_z_
#define _Reserved_
#define _Null_
#define _Notnull_
#define _Maybenull_
#define _Must_inspect_result_
#define _Check_return_
#define _Success_(condition)
#define _When_(condition, annotation)
#define _At_(target, annotation)
#define _Post_ptr_invalid_
#define _Pre_satisfies_(condition)
#define _Post_satisfies_(condition)
#define _Use_decl_annotations_
#define _Printf_format_string_
#define _Null_terminated_
#define _Frees_ptr_opt_
#define _Analysis_assume_(condition) ((void)0)
#define __analysis_assume(condition) ((void)0)

/* The older spelling. Not in C++, whose standard library uses these as names of its own. */
#ifndef __cplusplus
#define __in
#define __in_opt
#define __in_z
#define __in_bcount(count)
#define __in_bcount_opt(count)
#define __in_ecount(count)
#define __in_ecount_opt(count)
#define __out
#define __out_opt
#define __out_bcount(count)
#define __out_bcount_opt(count)
#define __out_ecount(count)
#define __out_ecount_opt(count)
#define __inout
#define __inout_opt
#define __reserved
#define __checkReturn
#define __callback
#endif

#endif
